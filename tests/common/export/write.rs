//! The files: the same rows in each format, and how each breaks its broken ones.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use encoding_rs::{Encoding, GB18030, UTF_8};
use rust_xlsxwriter::{Formula, Workbook};
use serde_json::{Map, Value, json};

use super::{Broken, COLUMNS, ExpectedReject, Export, Format, Kind, Record};

/// The place of the text among the columns.
const TEXT: usize = 3;
const ROW_GROUP: usize = 1_000;
/// One character that NFKC makes four of.
const GROWING: &str = "㍿";

/// Nothing that can be decoded, whatever follows.
const NOT_GB18030: [&[u8]; 5] = [b"\xff", b"\x81 ", b"\xfe\xff", b"\x81\x30 ", b"\xe3\x32\x9a\x36"];
const NOT_UTF_8: [&[u8]; 5] = [b"\xff", b"\xc0\xaf", b"\xe4\xb8 ", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"];
const INVISIBLE: [&str; 5] =
    ["   ", "\u{3000}\u{a0}\u{3000}", "\u{200b}\u{feff}", " \u{200d}\u{2060} ", " \n\t "];

pub(super) fn write(export: &Export, format: Format, path: &Path) -> Vec<ExpectedReject> {
    let mut out = BufWriter::new(File::create(path).unwrap());
    let mut rejects = Vec::new();
    let mut line = match format {
        Format::CsvGb18030 | Format::CsvUtf8Bom | Format::Xlsx => 2,
        Format::JsonLines | Format::Parquet => 1,
    };
    let rows = export.records().map(|(index, mut record, broken)| {
        if let Some(broken) = broken {
            spoil(&mut record, broken);
        }
        (index, record, broken)
    });
    let mut note = |broken: Option<Broken>, lines: usize| {
        rejects.extend(broken.map(|Broken { index, kind, .. }| ExpectedReject { line, index, kind }));
        line += lines as u64;
    };
    match format {
        Format::CsvGb18030 | Format::CsvUtf8Bom => {
            let encoding = if format == Format::CsvGb18030 { GB18030 } else { UTF_8 };
            if encoding == UTF_8 {
                out.write_all("\u{feff}".as_bytes()).unwrap();
            }
            out.write_all(&encode(encoding, &(COLUMNS.join(",") + "\r\n"))).unwrap();
            for (_, record, broken) in rows {
                let row = csv_row(&record, broken, encoding);
                out.write_all(&row).unwrap();
                out.write_all(b"\r\n").unwrap();
                note(broken, row.split(|byte| *byte == b'\n').count());
            }
        }
        Format::JsonLines => {
            for (_, record, broken) in rows {
                writeln!(out, "{}", json_line(&record, broken)).unwrap();
                note(broken, 1);
            }
        }
        Format::Xlsx => {
            let sheet_rows = rows.inspect(|(_, _, broken)| note(*broken, 1));
            workbook(sheet_rows.map(|(_, record, broken)| (record, broken)))
                .save_to_writer(&mut out)
                .unwrap();
        }
        Format::Parquet => {
            let table_rows = rows.map(|(_, mut record, broken)| {
                note(broken, 1);
                if let Some(broken) = broken {
                    spoil_without_syntax(&mut record, broken);
                }
                record
            });
            parquet_rows(table_rows, &mut out);
        }
    }
    out.flush().unwrap();
    rejects
}

/// Breaks what every format can break, and leaves one plain line of text to break further.
fn spoil(record: &mut Record, Broken { kind, variant, .. }: Broken) {
    let line = record.text.take().unwrap().replace('\n', " ").replace('"', "");
    if kind != Kind::LongTitle {
        record.title.clear();
    }
    record.text = match kind {
        Kind::EmptyText => Some(String::new()),
        Kind::MissingText => None,
        Kind::InvisibleText => Some(INVISIBLE[variant].to_owned()),
        Kind::LongText if variant == 0 => Some(GROWING.repeat(2_501)),
        Kind::LongText => Some(line.chars().cycle().take(10_000 + variant).collect()),
        Kind::LongTitle => {
            record.title = if variant == 0 { GROWING.repeat(126) } else { "长".repeat(500 + variant) };
            Some(line)
        }
        Kind::FewFields | Kind::ManyFields | Kind::Undecodable | Kind::OpenQuote | Kind::Nul => Some(line),
    };
}

/// Breaks by its words what another format breaks by its syntax.
fn spoil_without_syntax(record: &mut Record, Broken { kind, variant, .. }: Broken) {
    let words = match kind {
        Kind::FewFields => "\u{feff}".repeat(1 + variant),
        Kind::ManyFields => "\u{1}\u{1b}\u{7f}".repeat(1 + variant),
        Kind::Undecodable => GROWING.repeat(2_501 + variant),
        Kind::OpenQuote => "\u{fe0f}\u{fe0e}".repeat(1 + variant),
        Kind::Nul => {
            record.title = GROWING.repeat(126 + variant);
            return;
        }
        Kind::EmptyText | Kind::InvisibleText | Kind::LongText | Kind::LongTitle | Kind::MissingText => {
            return;
        }
    };
    record.text = Some(words);
}

fn csv_row(record: &Record, broken: Option<Broken>, encoding: &'static Encoding) -> Vec<u8> {
    let text = record.text.as_deref().unwrap_or_default();
    let mut fields = record.fields().map(|field| field.map_or_else(String::new, quoted));
    if record.text.as_deref() == Some("") {
        "\"\"".clone_into(&mut fields[TEXT]);
    }
    let whole = |fields: &[String]| encode(encoding, &fields.join(","));
    let Some(Broken { kind, variant, .. }) = broken else { return whole(&fields) };
    match kind {
        Kind::FewFields => whole(&fields[..2 + variant]),
        Kind::ManyFields => whole(&[&fields[..], &vec!["多".to_owned(); 1 + variant]].concat()),
        Kind::OpenQuote => {
            fields[TEXT] = format!("\"{text}");
            whole(&fields)
        }
        Kind::Nul => {
            fields[TEXT] = quoted(&in_the_middle(text, "\0"));
            whole(&fields)
        }
        Kind::Undecodable => {
            let bytes = if encoding == UTF_8 { NOT_UTF_8[variant] } else { NOT_GB18030[variant] };
            // U+0001 marks the place: nothing else in the line is encoded with such a byte.
            fields[TEXT] = quoted(&in_the_middle(text, "\u{1}"));
            let row = whole(&fields);
            let place = row.iter().position(|byte| *byte == 1).unwrap();
            [&row[..place], bytes, &row[place + 1..]].concat()
        }
        Kind::EmptyText | Kind::InvisibleText | Kind::LongText | Kind::LongTitle | Kind::MissingText => {
            whole(&fields)
        }
    }
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn in_the_middle(text: &str, inserted: &str) -> String {
    let middle = text.char_indices().nth(text.chars().count() / 2).unwrap().0;
    [&text[..middle], inserted, &text[middle..]].concat()
}

fn encode(encoding: &'static Encoding, text: &str) -> Vec<u8> {
    let (bytes, _, unmappable) = encoding.encode(text);
    assert!(!unmappable, "GB18030 has every character that is used");
    bytes.into_owned()
}

fn json_line(record: &Record, broken: Option<Broken>) -> String {
    let fields = COLUMNS.into_iter().zip(record.fields());
    let mut object: Map<_, _> = fields.map(|(column, field)| (column.to_owned(), json!(field))).collect();
    let text = object[COLUMNS[TEXT]].clone();
    let Some(Broken { kind, variant, .. }) = broken else { return Value::Object(object).to_string() };
    match kind {
        Kind::MissingText if variant % 2 == 1 => drop(object.shift_remove(COLUMNS[TEXT])),
        Kind::Undecodable => drop(object.insert(COLUMNS[TEXT].to_owned(), json!(12_345 + variant))),
        Kind::OpenQuote => drop(object.insert(COLUMNS[TEXT].to_owned(), json!([text]))),
        Kind::ManyFields => return json!(record.fields()).to_string(),
        Kind::FewFields => {
            let line = Value::Object(object).to_string();
            return line.chars().take(line.chars().count() * (1 + variant) / 6).collect();
        }
        Kind::Nul => {
            let words = text.as_str().unwrap();
            return Value::Object(object).to_string().replace(words, &in_the_middle(words, "\0"));
        }
        Kind::EmptyText | Kind::InvisibleText | Kind::LongText | Kind::LongTitle | Kind::MissingText => {}
    }
    Value::Object(object).to_string()
}

fn workbook(rows: impl Iterator<Item = (Record, Option<Broken>)>) -> Workbook {
    let mut book = Workbook::new();
    book.add_worksheet().set_name("说明").unwrap();
    let sheet = book.add_worksheet().set_name("工单").unwrap();
    for (column, name) in (0..).zip(COLUMNS) {
        sheet.write_string(0, column, name).unwrap();
    }
    for (row, (mut record, broken)) in (1..).zip(rows) {
        let (mut fault, mut columns) = (None, COLUMNS.len());
        match broken.map(|broken| broken.kind) {
            Some(Kind::FewFields) => columns = 2,
            Some(Kind::ManyFields) => fault = Some(("=NA()", "#N/A")),
            Some(Kind::Undecodable) => fault = Some(("=\"字\"+1", "#VALUE!")),
            Some(Kind::OpenQuote) => fault = Some(("=#REF!", "#REF!")),
            Some(Kind::Nul) => record.text = Some(GROWING.repeat(2_501)),
            _ => {}
        }
        for (column, field) in (0..).zip(record.fields()).take(columns) {
            match (fault, field) {
                (Some((formula, value)), _) if usize::from(column) == TEXT => {
                    sheet.write_formula(row, column, Formula::new(formula).set_result(value)).unwrap();
                }
                (_, Some(words)) => drop(sheet.write_string(row, column, words).unwrap()),
                (_, None) => {}
            }
        }
    }
    book.add_worksheet().set_name("备注").unwrap();
    book
}

fn parquet_rows(mut rows: impl Iterator<Item = Record>, out: impl Write + Send) {
    let batch = |records: &[Record]| {
        let columns = COLUMNS.into_iter().enumerate().map(|(place, name)| {
            let column: StringArray = records.iter().map(|record| record.fields()[place]).collect();
            (name, Arc::new(column) as ArrayRef, true)
        });
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(ROW_GROUP)).build();
    let schema = batch(&[]).schema();
    let mut writer = ArrowWriter::try_new(out, schema, Some(properties)).unwrap();
    loop {
        let records: Vec<_> = rows.by_ref().take(ROW_GROUP).collect();
        if records.is_empty() {
            break;
        }
        writer.write(&batch(&records)).unwrap();
    }
    writer.close().unwrap();
}
