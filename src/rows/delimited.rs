//! CSV and its kin: a header, and a record a row.
//!
//! [`record`](super::record) splits the bytes; here a record is decoded and its cells are told apart. An empty cell
//! is none, as the format cannot say more.

use std::io;
use std::path::Path;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::encoding::Charset;
use super::error::ReadError;
use super::header::{Header, looks_like_header};
use super::lines::TOO_LONG;
use super::record::{Dialect, Flaw, Place, Records};
use super::{
    BrokenRow, Column, Entry, Layout, MAX_COLUMNS, MAX_TITLE_ROWS, Rows, Source, Survey, until_error,
};

/// What may keep fields apart; where nothing speaks for one of them, the first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// So many records behind the header tell the delimiter.
const SAMPLE_RECORDS: usize = 100;

/// Reads a file from end to end.
pub(super) fn survey(path: &Path) -> Result<Survey, ReadError> {
    let charset = Charset::detect(path)?;
    let delimiter = delimiter(path, charset)?;
    let title_rows = title_rows(path, charset, delimiter)?;
    let (header, mut table) = Table::open_at(path, charset, delimiter, title_rows)?;
    let mut rows = 0;
    while table.records.next().map_err(|source| ReadError::reading(path, source))?.is_some() {
        rows += 1;
    }
    let columns = (0..header.len()).map(|position| Column { name: header.name(position), json: false });
    let layout = Layout::Delimited { encoding: charset.name().to_owned(), delimiter: delimiter.into() };
    let source = Source { path: path.to_owned(), layout };
    Ok(Survey { source, columns: columns.collect(), rows, title_rows })
}

/// The rows of a file.
pub(super) fn read(
    path: &Path,
    encoding: &str,
    delimiter: char,
    columns: &[Column],
) -> Result<Rows, ReadError> {
    let charset = Charset::named(encoding);
    let charset =
        charset.ok_or_else(|| ReadError::changed(path, format!("no encoding is named `{encoding}`")))?;
    let delimiter = u8::try_from(delimiter)
        .map_err(|_| ReadError::changed(path, format!("`{delimiter}` cannot keep fields apart")))?;
    let (header, mut table) = Table::open(path, charset, delimiter)?;
    let names = (0..header.len()).map(|position| header.name(position));
    if !names.eq(columns.iter().map(|column| column.name.clone())) {
        return Err(ReadError::changed(path, "its header has other columns"));
    }
    let path = path.to_owned();
    Ok(until_error(move || {
        let place = table.records.next().map_err(|source| ReadError::reading(&path, source));
        Some(place.transpose()?.map(|place| table.entry(place)))
    }))
}

/// The delimiter that splits the header and the first records most alike.
fn delimiter(path: &Path, charset: Charset) -> Result<u8, ReadError> {
    let mut best = (0.0, 1, DELIMITERS[0]);
    for delimiter in DELIMITERS {
        let (header, mut table) = Table::open(path, charset, delimiter)?;
        table.records.fields = None;
        let (mut records, mut alike) = (0, 0);
        while records < SAMPLE_RECORDS {
            let next = table.records.next().map_err(|source| ReadError::reading(path, source))?;
            let Some(place) = next else { break };
            records += 1;
            alike += usize::from(table.entry_cells(place).is_ok_and(|cells| cells == header.len()));
        }
        let share = if records == 0 { 1.0 } else { alike as f64 / records as f64 };
        if header.len() > 1 {
            let is_tsv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
            if is_tsv && delimiter == b'\t' {
                return Ok(delimiter);
            }
            if (share, header.len()) > (best.0, best.1) {
                best = (share, header.len(), delimiter);
            }
        }
    }
    Ok(best.2)
}

/// A file behind its header.
struct Table {
    charset: Charset,
    records: Records,
    parser: Parser,
    fields: usize,
}

impl Table {
    fn open(path: &Path, charset: Charset, delimiter: u8) -> Result<(Header, Self), ReadError> {
        let title_rows = title_rows(path, charset, delimiter)?;
        Self::open_at(path, charset, delimiter, title_rows)
    }

    /// Opens a file whose header stands behind so many records.
    fn open_at(
        path: &Path,
        charset: Charset,
        delimiter: u8,
        title_rows: usize,
    ) -> Result<(Header, Self), ReadError> {
        let dialect = Dialect { delimiter, encoding: charset.of_lines() };
        let records = Records::new(charset.lines(path)?, dialect);
        let mut table = Self { charset, records, parser: Parser::new(delimiter), fields: 0 };
        let read = |table: &mut Self| table.header().map_err(|source| ReadError::reading(path, source));
        for _ in 0..title_rows {
            read(&mut table)?;
        }
        let header = read(&mut table)?;
        if header.len() > MAX_COLUMNS {
            return Err(ReadError::TooManyColumns { path: path.to_owned(), max: MAX_COLUMNS });
        }
        table.fields = header.len();
        table.records.fields = Some(header.len());
        Ok((Header::new(header), table))
    }

    /// The cells of the next record, which may be the header.
    fn header(&mut self) -> io::Result<Vec<String>> {
        let Some(place) = self.records.next()? else { return Ok(Vec::new()) };
        let text = self.charset.decode_lossy(self.records.bytes(place));
        self.parser.parse(&text);
        // One more than a header may have, so that it is seen.
        Ok(self.parser.cells().take(MAX_COLUMNS + 1).map(str::to_owned).collect())
    }

    fn entry(&mut self, place: Place) -> Entry {
        let row = self.entry_cells(place).map(|_| {
            let cell = |cell: &str| Some(cell.to_owned()).filter(|cell| !cell.is_empty());
            self.parser.cells().take(self.fields).map(cell).collect()
        });
        let raw = |problem| BrokenRow { problem, raw: self.charset.raw(self.records.bytes(place)) };
        Entry { line: place.line, row: row.map_err(raw) }
    }

    /// Parses a record, and says how many cells it has, those beyond the header's that are empty left out.
    fn entry_cells(&mut self, place: Place) -> Result<usize, String> {
        let wrong = |fields| format!("has {fields} fields, but the header has {}", self.fields);
        match place.flaw {
            Some(Flaw::OpenQuote) => return Err("a quote is opened and not closed".to_owned()),
            Some(Flaw::Fields(fields)) => return Err(wrong(fields)),
            Some(Flaw::Long) => return Err(TOO_LONG.to_owned()),
            None => {}
        }
        let bytes = self.records.bytes(place);
        let text = self.charset.decode(bytes);
        let text = text.ok_or_else(|| format!("holds bytes that are not {}", self.charset.name()))?;
        if text.contains('\0') {
            return Err("holds a NUL character".to_owned());
        }
        if !self.parser.parse(&text) {
            return Err("cannot be told apart from what follows".to_owned());
        }
        let cells = self.parser.count;
        let filled = self.parser.cells().skip(self.fields).any(|cell| !cell.is_empty());
        if cells < self.fields || filled { Err(wrong(cells)) } else { Ok(self.fields) }
    }
}

/// How many records stand above the header: the line that tells Excel the delimiter, and a sheet's title.
fn title_rows(path: &Path, charset: Charset, delimiter: u8) -> Result<usize, ReadError> {
    let dialect = Dialect { delimiter, encoding: charset.of_lines() };
    let records = Records::new(charset.lines(path)?, dialect);
    let mut table = Table { charset, records, parser: Parser::new(delimiter), fields: 0 };
    let mut certain = 0;
    for above in 0..=MAX_TITLE_ROWS {
        let cells = table.header().map_err(|source| ReadError::reading(path, source))?;
        if above == 0 && tells_delimiter(&cells) {
            certain = 1;
        } else if !may_be_title(&cells) {
            return Ok(if looks_like_header(cells.iter().map(String::as_str)) { above } else { certain });
        }
    }
    Ok(certain)
}

fn tells_delimiter(cells: &[String]) -> bool {
    let [first, rest @ ..] = cells else { return false };
    let first = first.trim_start_matches('\u{feff}').trim();
    let told = first.strip_prefix("sep=").is_some_and(|told| told.chars().count() <= 1);
    told && rest.iter().all(String::is_empty)
}

/// Whether the first of several cells alone is filled.
fn may_be_title(cells: &[String]) -> bool {
    match cells {
        [first, rest @ ..] if !rest.is_empty() => {
            !first.trim().is_empty() && rest.iter().all(|cell| cell.trim().is_empty())
        }
        _ => false,
    }
}

/// The cells of one record.
struct Parser {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl Parser {
    fn new(delimiter: u8) -> Self {
        let reader = ReaderBuilder::new().delimiter(delimiter).build();
        Self { reader, text: Vec::new(), ends: vec![0; 64], count: 0 }
    }

    /// Parses one record, and says whether that was all of it.
    fn parse(&mut self, record: &str) -> bool {
        // Otherwise it would take a mark at the start of a record for that of a file.
        self.reader.reset();
        self.reader.read_record(b"\n", &mut [], &mut [0]);
        self.text.resize(self.text.len().max(record.len() + 1), 0);
        let (mut read, mut written) = (0, 0);
        self.count = 0;
        loop {
            let (result, input, output, ends) = self.reader.read_record(
                &record.as_bytes()[read..],
                &mut self.text[written..],
                &mut self.ends[self.count..],
            );
            read += input;
            written += output;
            self.count += ends;
            match result {
                // The end of the input is told by reading on.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record | ReadRecordResult::End => return read == record.len(),
            }
        }
    }

    fn cells(&self) -> impl Iterator<Item = &str> {
        let ends = &self.ends[..self.count];
        let starts = std::iter::once(&0).chain(ends);
        // The text was cut at delimiters of one byte, so each cell is text.
        starts.zip(ends).map(|(start, end)| std::str::from_utf8(&self.text[*start..*end]).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::super::tests::{columns, entries, problems, table, tables};
    use encoding_rs::GB18030;

    fn delimiter(name: &str, content: &str) -> char {
        match table(name, content).0.source.layout {
            Layout::Delimited { delimiter, .. } => delimiter,
            other @ (Layout::JsonLines { .. } | Layout::Sheet { .. }) => panic!("{other:?}"),
        }
    }

    fn rows(name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
        let row = |row: Vec<Option<String>>| {
            row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join("/")
        };
        entries(name, content).into_iter().map(row).collect()
    }

    fn told(content: impl AsRef<[u8]>) -> Vec<(u64, String)> {
        problems("a.csv", content).into_iter().map(|(line, problem, _)| (line, problem)).collect()
    }

    #[test]
    fn the_delimiter_is_what_splits_most_rows_alike() {
        assert_eq!(delimiter("a.csv", "a,b\n1;2,3\n4;5,6\n"), ',');
        assert_eq!(delimiter("a.csv", "a;b;c\n1,2;3;4\n1;2;3\n"), ';');
        assert_eq!(delimiter("a.txt", "a\tb\n1,\t2\n"), '\t');
        assert_eq!(delimiter("a.csv", "a|b\n1,\"|\"|2\n"), '|');
        assert_eq!(delimiter("a.tsv", "a,x\tb,y\n1,2\t2,3\n"), '\t');
        assert_eq!(delimiter("a.tsv", "a,b\n1,2\n"), ',');
        assert_eq!(delimiter("a.csv", "text\n灯;不亮\n"), ',', "nothing to split");
    }

    #[test]
    fn every_line_end_and_an_empty_line_are_known() {
        for end in ["\n", "\r\n", "\r"] {
            let content = ["a,b", "", "1,灯", "  ", "2,\"x\ny\""].join(end);
            assert_eq!(rows("a.csv", &content), ["1/灯", "2/x\ny"]);
            assert_eq!(rows("a.csv", content + end), ["1/灯", "2/x\ny"]);
        }
    }

    #[test]
    fn a_file_without_rows_is_a_table() {
        for content in ["", "\u{feff}", "\n\n"] {
            let (survey, _) = table("a.csv", content);
            assert_eq!((survey.rows, survey.columns.len()), (0, 0));
        }
        assert_eq!(columns("a.csv", "编号, 内容 ,\r\n").len(), 3);
    }

    #[test]
    fn a_title_above_the_header_is_no_row() {
        let above =
            ["sep=;\n", "工单台账;;\n统计日期：2026年;;\n", "\u{feff}工单台账;;\n", "sep=;\n工单台账;;\n"];
        for (above, rows) in above.into_iter().zip([1, 2, 1, 2]) {
            let (survey, entries) = table("a.csv", format!("{above}编号;内容;区\n1;灯;\n"));
            assert_eq!(
                survey.columns.iter().map(|column| &column.name).collect::<Vec<_>>(),
                ["编号", "内容", "区"]
            );
            assert_eq!((survey.title_rows, entries.len()), (rows, 1), "{above}");
        }
    }

    #[test]
    fn what_may_be_a_header_or_a_row_is_no_title() {
        assert_eq!(rows("a.csv", "内容\n灯\n"), ["灯"]);
        assert_eq!(rows("a.csv", "内容,\n灯,\n井盖,\n"), ["灯/", "井盖/"]);
        assert_eq!(rows("a.csv", "内容,,\n灯坏了,朝阳区,2024\n"), ["灯坏了/朝阳区/2024"]);
        assert_eq!(rows("a.csv", "内容,\n"), Vec::<String>::new());
    }

    #[test]
    fn a_broken_row_is_told_with_its_bytes() {
        let (head, tail) = ("编号,内容\n1,灯\n", "\n3,\"灯\"\n4,灯,,\n5,灯,x\n6\n7,\"灯\n8,灯\n9,\0\n");
        let mut content = GB18030.encode(head).0.into_owned();
        content.extend(b"2,\xb5");
        content.extend(GB18030.encode(tail).0.iter());
        let found = problems("a.csv", &content);
        let told: Vec<_> = found.iter().map(|(line, problem, _)| (*line, problem.as_str())).collect();
        let expected = [
            (3, "holds bytes that are not gb18030"),
            (6, "has 3 fields, but the header has 2"),
            (7, "has 1 fields, but the header has 2"),
            (8, "a quote is opened and not closed"),
            (10, "holds a NUL character"),
        ];
        assert_eq!(told, expected);
        assert_eq!(found[0].2, b"2,\xb5");
        assert_eq!(found[3].2, GB18030.encode("7,\"灯").0.as_ref());
    }

    #[test]
    fn a_stray_quote_swallows_no_rows() {
        let rows = "1,好,y\n".repeat(1500);
        let content = format!("a,b,c\n1,\"好,y\n{rows}2,\"好\",y\n3,\"\"好\"\",y\n");
        assert_eq!(told(&content), [(2, "a quote is opened and not closed".to_owned())]);
        let content = "a,b,c\n1,\"灯\n亮\"\n2,3,4\n";
        let expected = [(2, "has 2 fields, but the header has 3"), (3, "has 1 fields, but the header has 3")];
        assert_eq!(told(content), expected.map(|(line, problem)| (line, problem.to_owned())));
    }

    #[test]
    fn utf16_is_read_and_its_broken_rows_come_back() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let mut content = utf16("\u{feff}a\tb\r\n1\t路灯\r\n2\t");
        content.extend(b"\xa7\xdc");
        content.extend(utf16("\r\n3\t💧\r\n"));
        let (survey, entries) = table("a.txt", &content);
        let layout = Layout::Delimited { encoding: "UTF-16LE".into(), delimiter: '\t' };
        assert_eq!(survey.source.layout, layout);
        let raw = [utf16("2\t"), b"\xa7\xdc".to_vec()].concat();
        let broken = entries[1].row.clone().unwrap_err();
        assert_eq!((broken.problem.as_str(), broken.raw), ("holds bytes that are not UTF-16LE", raw));
        assert_eq!(entries[2].row, Ok(vec![Some("3".to_owned()), Some("💧".to_owned())]));
    }

    #[test]
    fn a_changed_header_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        let survey = super::survey(&path).unwrap();
        std::fs::write(&path, "a,c\n1,2\n").unwrap();
        let error = super::super::read(&survey.source, &survey.columns).err().unwrap().to_string();
        assert!(
            error.ends_with("when it was surveyed: its header has other columns\nhint: survey it again"),
            "{error}"
        );
    }

    #[test]
    fn a_mark_within_a_file_is_text() {
        assert_eq!(
            entries("a.csv", "a,b\n\u{feff}1,2\n"),
            [[Some("\u{feff}1".to_owned()), Some("2".to_owned())]]
        );
        assert_eq!(tables("a.csv", "\u{feff}a,b\n1,2\n")[0].0.columns[0].name, "a");
    }
}
