//! CSV for spreadsheets: RFC 4180 with a byte-order mark, and no cell that runs as a formula.
//!
//! A citizen's text may start with `=`; a spreadsheet would compute it, and may send data away by it ("CSV injection",
//! <https://owasp.org/www-community/attacks/CSV_Injection>). Such a cell gets a `'` in front, which spreadsheets take for
//! "this is text". Parts have no header: the mark and the header are the joined file's.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;

use csv::{Terminator, Writer, WriterBuilder};

use super::OutputError;
use super::aside::Aside;
use super::cell::{self, Cell};
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::record_batch::RecordBatch;

/// Says UTF-8 to spreadsheets, which else take Chinese for the system's old code page.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A part in the making.
pub(super) struct Part {
    path: PathBuf,
    writer: Writer<Aside>,
}

impl Part {
    pub(super) fn new(file: Aside) -> Self {
        Self { path: file.path().to_owned(), writer: writer(file) }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        let unfit = |source| OutputError::rows(&self.path, source);
        let unwritten = |source: csv::Error| OutputError::csv(&self.path, source);
        let arrays = cell::plain(batch).map_err(unfit)?;
        let mut columns = cell::columns(batch.schema_ref(), &arrays).map_err(unfit)?;
        for row in 0..batch.num_rows() {
            for column in &mut columns {
                let cell = column.cell(row).map_err(unfit)?;
                self.writer.write_field(spelt(cell).as_bytes()).map_err(unwritten)?;
            }
            self.writer.write_record(None::<&[u8]>).map_err(unwritten)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Aside, OutputError> {
        self.writer.into_inner().map_err(|error| OutputError::write(&self.path, error.into_error()))
    }
}

/// Joins parts under one header; answers how many rows they hold.
pub(super) fn assemble(
    schema: &Schema,
    parts: &[PathBuf],
    mut file: Aside,
) -> Result<(Aside, u64), OutputError> {
    let header = header(schema).map_err(|source| OutputError::write(file.path(), source))?;
    file.write_all(&header).map_err(|source| OutputError::write(file.path(), source))?;
    let mut rows = 0;
    for part in parts {
        let mut records = Records::default();
        file.append(part, |bytes| records.see(bytes))?;
        if !records.ended {
            return Err(OutputError::cut_off(part));
        }
        rows += records.count;
    }
    Ok((file, rows))
}

fn writer<W: Write>(to: W) -> Writer<W> {
    WriterBuilder::new().terminator(Terminator::CRLF).from_writer(to)
}

fn header(schema: &Schema) -> io::Result<Vec<u8>> {
    let mut writer = writer(BYTE_ORDER_MARK.to_vec());
    writer.write_record(schema.fields().iter().map(|field| harmless(field.name()).into_owned()))?;
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

fn spelt(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Null | Cell::Json("null") => Cow::Borrowed(""),
        Cell::Literal(text) => Cow::Borrowed(text),
        Cell::Text(text) => harmless(text),
        Cell::Json(json) => match serde_json::from_str::<String>(json) {
            Ok(text) => Cow::Owned(harmless(&text).into_owned()),
            Err(_) => harmless(json),
        },
    }
}

/// The text, with a `'` in front where a spreadsheet would take it for a formula. A plain number stays one.
fn harmless(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if formula && !is_signed_number(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Whether `text` is a sign and a decimal number, such as `-5.2` or `+3e4`.
fn is_signed_number(text: &str) -> bool {
    let digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let Some(number) = text.strip_prefix(['+', '-']) else { return false };
    let (number, exponent) = number.split_once(['e', 'E']).map_or((number, None), |(n, e)| (n, Some(e)));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    digits(whole) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}

/// Counts records as their bytes pass.
#[derive(Debug)]
struct Records {
    count: u64,
    /// Within quotes a line end is text. A quote that is doubled leaves them and enters them again.
    quoted: bool,
    /// Nothing has followed the last record's end.
    ended: bool,
}

impl Default for Records {
    fn default() -> Self {
        Self { count: 0, quoted: false, ended: true }
    }
}

impl Records {
    fn see(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.quoted ^= byte == b'"';
            self.ended = byte == b'\n' && !self.quoted;
            self.count += u64::from(self.ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{OutputFormat, sample};
    use super::*;
    use datafusion::arrow::csv::ReaderBuilder;

    #[test]
    fn what_a_spreadsheet_takes_for_a_formula_is_made_harmless() {
        for formula in ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠甲"]
        {
            assert_eq!(harmless(formula), format!("'{formula}"));
        }
        for number_like in ["-", "+86 10", "-5.", "--5", "-1e", "-5-5", "+1=1"] {
            assert_eq!(harmless(number_like), format!("'{number_like}"));
        }
    }

    #[test]
    fn plain_numbers_and_other_text_stay() {
        for text in ["", "-5.2", "+3", "-1e-7", "2.5", "路灯不亮=危险", "'=1", "1-2"] {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn json_is_written_as_its_text_and_a_json_string_without_quotes() {
        assert_eq!(spelt(Cell::Json(r#"["噪声","-"]"#)), r#"["噪声","-"]"#);
        assert_eq!(spelt(Cell::Json(r#""朝阳\n\"区\"""#)), "朝阳\n\"区\"");
        assert_eq!(spelt(Cell::Json(r#""=1+1""#)), "'=1+1");
        assert_eq!(spelt(Cell::Json("-0.25")), "-0.25");
        assert_eq!(spelt(Cell::Json("null")), "");
    }

    #[test]
    fn records_are_counted_wherever_their_bytes_are_cut() {
        let text = b"a,\"b\r\n\"\"c\"\"\"\r\n,\r\n";
        for cut in 0..=text.len() {
            let mut records = Records::default();
            records.see(&text[..cut]);
            let ended = records.ended;
            records.see(&text[cut..]);
            assert_eq!((records.count, records.ended), (2, true));
            assert_eq!(ended, [0, text.len() - 3, text.len()].contains(&cut), "{cut}");
        }
    }

    #[test]
    fn each_type_has_its_form() {
        let expected = concat!(
            "\u{feff}text,large,view,choice,int,unsigned,float,single,true,decimal,date,time,naive,zoned,list,struct,",
            "binary,nothing,json\r\n",
            "\"路灯\"\"不亮\"\",\n=1+1\",'=甲,'－乙,水务局,-9223372036854775808,18446744073709551615,0.1,0.1,true,",
            "-12345678901234567890.05,2024-02-29,08:30:00,2024-02-29T08:30:00.250,2024-02-29T08:30:00+08:00,",
            "\"[\"\"甲\"\",null]\",\"{\"\"score\"\":0.5}\",00ff,,\"{\"\"风险\"\": [\"\"=1\"\", 1.50]}\"\r\n",
            ",,,,,,,,,,,,,,[],,,,一般\r\n",
            "-5.2,,,,,,,,,,,,,,,,,,not [json\r\n",
        );
        assert_eq!(sample::joined(OutputFormat::Csv, &sample::batch()), expected);
    }

    #[test]
    fn rows_come_back_by_the_reader_of_arrow() {
        // That reader knows no nested types, no quotes around JSON and no `'`.
        let kept = ["int", "unsigned", "float", "single", "true", "decimal", "date", "time", "naive"];
        let all = sample::many(2500);
        let kept: Vec<_> = kept.iter().map(|name| all.schema().index_of(name).unwrap()).collect();
        let batch = all.project(&kept).unwrap();
        let text = sample::joined(OutputFormat::Csv, &batch);
        let text = text.strip_prefix('\u{feff}').unwrap();
        let reader = ReaderBuilder::new(batch.schema()).with_header(true).with_batch_size(10_000);
        let read: Vec<_> = reader.build(text.as_bytes()).unwrap().map(Result::unwrap).collect();
        assert_eq!(read, [batch]);
    }

    #[test]
    fn names_are_made_harmless_too() {
        use datafusion::arrow::datatypes::{DataType, Field};
        let field = |name: &str| Field::new(name, DataType::Utf8, true);
        let header = header(&Schema::new(vec![field("诉求,内容"), field("=A1")])).unwrap();
        assert_eq!(String::from_utf8(header).unwrap(), "\u{feff}\"诉求,内容\",'=A1\r\n");
    }
}
