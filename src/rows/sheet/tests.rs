//! Workbooks are written here part by part, as no other program would write some of them.

use super::super::tests::tables;
use super::*;
use std::io::{Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const NAMESPACE: &str = r#"xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships""#;

/// A workbook of sheets, each with the inside of its `sheetData`. Style 1 is a date, style 2 a duration.
fn workbook(sheets: &[(&str, &str)]) -> Vec<u8> {
    let relation = |id: usize, kind: &str, target: &str| {
        format!(
            r#"<Relationship Id="rId{id}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{kind}" Target="{target}"/>"#
        )
    };
    let package = |relations: String| {
        format!(
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}</Relationships>"#
        )
    };
    let mut list = String::new();
    let mut relations =
        relation(100, "sharedStrings", "sharedStrings.xml") + &relation(101, "styles", "styles.xml");
    let mut parts = vec![
        ("_rels/.rels".to_owned(), package(relation(1, "officeDocument", "xl/workbook.xml"))),
        (
            "xl/sharedStrings.xml".to_owned(),
            format!("<sst {NAMESPACE}><si><t>编号</t></si><si><t>内容</t></si></sst>"),
        ),
        (
            "xl/styles.xml".to_owned(),
            format!(
                r#"<styleSheet {NAMESPACE}><numFmts><numFmt numFmtId="176" formatCode="yyyy\-mm\-dd\ hh:mm"/></numFmts><cellXfs><xf numFmtId="0"/><xf numFmtId="176"/><xf numFmtId="46"/></cellXfs></styleSheet>"#
            ),
        ),
    ];
    for (number, (name, data)) in (1..).zip(sheets) {
        list.extend([format!(r#"<sheet name="{name}" sheetId="{number}" r:id="rId{number}"/>"#)]);
        relations += &relation(number, "worksheet", &format!("worksheets/sheet{number}.xml"));
        let sheet = format!("<worksheet {NAMESPACE}><sheetData>{data}</sheetData></worksheet>");
        parts.push((format!("xl/worksheets/sheet{number}.xml"), sheet));
    }
    parts.push((
        "xl/workbook.xml".to_owned(),
        format!("<workbook {NAMESPACE}><sheets>{list}</sheets></workbook>"),
    ));
    parts.push(("xl/_rels/workbook.xml.rels".to_owned(), package(relations)));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const HEADER: &str = r#"<row r="2"><c r="A2" t="s"><v>0</v></c><c r="B2" t="s"><v>1</v></c></row>"#;

/// The cells of a row, or what is wrong with it and its raw form.
type Found = Result<Vec<Option<String>>, String>;

fn rows(data: &str) -> (Vec<String>, Vec<(u64, Found)>) {
    let (survey, entries) = tables("a.xlsx", workbook(&[("工单", &format!("{HEADER}{data}"))])).remove(0);
    let entry = |entry: Entry| {
        (
            entry.line,
            entry.row.map_err(|row| format!("{}: {}", row.problem, String::from_utf8(row.raw).unwrap())),
        )
    };
    (survey.columns.into_iter().map(|column| column.name).collect(), entries.into_iter().map(entry).collect())
}

#[expect(clippy::unnecessary_wraps, reason = "as found")]
fn cells(cells: &[&str]) -> Found {
    Ok(cells.iter().map(|cell| Some((*cell).to_owned()).filter(|cell| !cell.is_empty())).collect())
}

#[test]
fn values_are_written_as_text() {
    let (columns, rows) = rows(concat!(
        r#"<row r="3"><c r="A3"><v>2.50331144260109E14</v></c><c r="B3" t="inlineStr"><is><t>灯</t></is></c></row>"#,
        r#"<row r="4"><c r="A4" s="1"><v>46352.354166666664</v></c><c r="B4" s="2"><v>1.5</v></c></row>"#,
        r#"<row r="5"><c r="A5" t="b"><v>1</v></c><c r="B5" t="str"><f>A1&amp;"x"</f><v>x&amp;y</v></c></row>"#,
    ));
    assert_eq!(columns, ["编号", "内容"]);
    let expected = [
        (3, cells(&["250331144260109", "灯"])),
        (4, cells(&["2026-11-26 08:30:00", "36:00:00"])),
        (5, cells(&["TRUE", "x&y"])),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn empty_rows_are_left_out_and_cells_beyond_the_header_are_not() {
    let (columns, rows) = rows(concat!(
        r#"<row r="3"><c r="A3" s="1"/><c r="B3" t="str"><v> </v></c></row><row r="4"/>"#,
        r#"<row r="7"><c r="B7"><v>1</v></c><c r="E7"><v>2</v></c></row>"#,
    ));
    assert_eq!(columns, ["编号", "内容", "column_5"]);
    assert_eq!(rows, [(7, cells(&["", "1", "2"]))]);
}

#[test]
fn a_title_above_the_header_is_no_row() {
    let one = |row: u32, text: &str| {
        format!(r#"<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>{text}</t></is></c></row>"#)
    };
    let wide = r#"<row r="3"><c r="A3"><v>1</v></c><c r="B3"><v>2</v></c></row>"#;
    let noted = r#"<row r="9"><c r="A9" t="str"><v>灯</v></c><c r="B9"><v>2</v></c></row>"#;
    let rows = |data: String| {
        let (survey, entries) = tables("a.xlsx", workbook(&[("工单", &data)])).remove(0);
        (survey.columns.len(), entries.into_iter().map(|entry| entry.line).collect::<Vec<_>>())
    };
    assert_eq!(rows(one(1, "工单台账") + HEADER + wide), (2, vec![3]));
    assert_eq!(rows(one(1, "内容") + &one(2, "灯")), (1, vec![2]), "a table of one column");
    assert_eq!(rows(one(1, "内容") + &one(2, "灯") + noted), (2, vec![2, 9]), "a note beside a row");
    let many = (2..9).map(|row| one(row, "灯")).collect::<String>();
    assert_eq!(rows(one(1, "内容") + &many), (1, (2..9).collect()));
}

#[test]
fn an_error_breaks_its_row_alone() {
    let (_, rows) = rows(concat!(
        r#"<row r="3"><c r="A3"><v>1</v></c></row>"#,
        r#"<row r="4"><c r="A4"><v>2</v></c><c r="B4" t="e"><v>#N/A</v></c></row>"#,
        r#"<row r="5"><c r="A5" t="e"><v>#SPILL!</v></c><c r="B5"><v>5</v></c></row>"#,
        r#"<row r="6"><c r="A6"><v>4</v></c><c r="B6" t="b"><v>maybe</v></c></row>"#,
        r#"<row r="7"><c r="A7"><v>5</v></c></row>"#,
    ));
    let broken = |told: &str| Err(told.to_owned());
    let expected = [
        (3, cells(&["1", ""])),
        (4, broken("cell B4 holds the error #N/A: [\"2\",\"#N/A\"]")),
        (5, broken("cell A5 holds the error #SPILL!: [\"#SPILL!\",\"5\"]")),
        (6, broken("cell B6 cannot be read: [\"4\",\"\"]")),
        (7, cells(&["5", ""])),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn each_sheet_with_rows_is_a_table() {
    let data = format!(r#"{HEADER}<row r="3"><c r="A3"><v>1</v></c></row>"#);
    let tables = tables("a.xlsm", workbook(&[("说明", ""), ("一", &data), ("空", HEADER), ("二", &data)]));
    let layouts: Vec<_> = tables.into_iter().map(|(survey, _)| survey.source.layout).collect();
    assert_eq!(layouts, ["一", "二"].map(|name| Layout::Sheet { name: name.to_owned() }));
}

#[test]
fn a_reader_may_stop_early() {
    let data = format!("{HEADER}{}", "<row><c><v>1</v></c></row>".repeat(2000));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.xlsx");
    std::fs::write(&path, workbook(&[("一", &data)])).unwrap();
    let survey = survey(&path).unwrap().remove(0);
    assert_eq!(survey.rows, 2000);
    let first = read(&path, "一", &survey.columns).unwrap().next().unwrap().unwrap();
    assert_eq!(first.line, 3);
}

#[test]
fn damage_is_told_with_file_and_sheet() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.xlsx");
    for (data, told) in [
        (r#"<row r="3"><c r="ZZZZ3"><v>1</v></c></row>"#, "the sheet `一`"),
        (r#"<row r="99999999999"><c r="A1"><v>1</v></c></row>"#, ""),
        (r#"<row r="3"><c r="A3"><v>1</c></row>"#, "the sheet `一`"),
    ] {
        let whole = workbook(&[("一", &format!("{HEADER}{data}"))]);
        std::fs::write(&path, &whole).unwrap();
        let columns =
            [Column { name: "编号".into(), json: false }, Column { name: "内容".into(), json: false }];
        let last = read(&path, "一", &columns).unwrap().last().unwrap().unwrap_err().to_string();
        assert!(last.contains(told) && last.contains("a.xlsx") && last.contains("\nhint: "), "{last}");
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(survey(&path).unwrap_err().to_string().starts_with("cannot read the workbook of `"));
    }
}

#[test]
fn rows_that_are_out_of_order_are_told_and_not_torn_apart() {
    for data in [
        r#"<row r="4"><c r="A4"><v>1</v></c></row><row r="3"><c r="A3"><v>2</v></c></row>"#,
        r#"<row r="3"><c r="A3"><v>1</v></c><c r="B2"><v>2</v></c></row>"#,
        r#"<row r="3"><c r="A3"><v>1</v></c><c r="B4"><v>2</v></c></row><row r="4"><c r="A3"><v>2</v></c></row>"#,
    ] {
        let error = told_of(&workbook(&[("工单", &format!("{HEADER}{data}"))]));
        assert!(
            error.contains("the sheet `工单` of `a.xlsx`") && error.contains("behind a later one"),
            "{error}"
        );
    }
}

#[test]
fn a_bit_that_has_flipped_is_noticed_by_the_checksum() {
    let row = r#"<row r="3"><c r="A3"><v>1</v></c></row>"#;
    let whole = workbook(&[("工单", &format!("{HEADER}{row}"))]);
    let mut archive = zip::ZipArchive::new(Cursor::new(whole)).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).unwrap();
        zip.start_file(part.name().unwrap(), stored).unwrap();
        std::io::copy(&mut part, &mut zip).unwrap();
    }
    let mut plain = zip.finish().unwrap().into_inner();
    let place = memchr::memmem::find(&plain, b"<v>1</v></c></row>").unwrap();
    plain[place + 3] = b'7';
    let error = told_of(&plain);
    assert!(error.contains("part `xl/worksheets/sheet1.xml` is damaged"), "{error}");
}

/// The workbook of a header alone, with some of its parts replaced or added.
fn with_parts(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut workbook = zip::ZipArchive::new(Cursor::new(workbook(&[("工单", HEADER)]))).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..workbook.len() {
        let part = workbook.by_index_raw(index).unwrap();
        if parts.iter().all(|(name, _)| *name != part.name().unwrap()) {
            zip.raw_copy_file(part).unwrap();
        }
    }
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn told_of(workbook: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.xlsx");
    std::fs::write(&path, workbook).unwrap();
    survey(&path).unwrap_err().to_string().replace(path.to_str().unwrap(), "a.xlsx")
}

#[test]
fn refuses_a_small_workbook_that_unpacks_to_a_large_one() {
    let bomb = [b"<sst>".to_vec(), vec![b' '; 3 << 19]].concat();
    for part in ["xl/sharedStrings.xml", "xl/worksheets/sheet1.xml", "xl/media/image1.png"] {
        let error = told_of(&with_parts(&[(part, &bomb)]));
        assert!(error.contains("has 1 MiB, and would have more than 1 MiB unpacked"), "{part}: {error}");
        assert!(error.contains("\nhint: if you trust it"), "{error}");
    }
}

#[test]
fn believes_no_size_that_a_workbook_tells_of_itself() {
    let bomb = [b"<sst>".to_vec(), vec![b' '; 3 << 19]].concat();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("xl/sharedStrings.xml", SimpleFileOptions::default()).unwrap();
    zip.write_all(&bomb).unwrap();
    let mut workbook = zip.finish().unwrap().into_inner();
    let size = u32::try_from(bomb.len()).unwrap().to_le_bytes();
    let places: Vec<usize> = memchr::memmem::find_iter(&workbook, &size).collect();
    assert!(!places.is_empty(), "it stands in a header");
    for place in places {
        workbook[place..place + 4].copy_from_slice(&9_u32.to_le_bytes());
    }
    let error = told_of(&workbook);
    assert!(error.contains("`a.xlsx`") && error.contains("\nhint: "), "{error}");
}

#[test]
fn refuses_a_workbook_that_claims_to_have_what_no_memory_holds() {
    let texts = br#"<sst uniqueCount="9000000000000"><si><t>x</t></si></sst>"#;
    let error = told_of(&with_parts(&[("xl/sharedStrings.xml", texts)]));
    assert!(error.contains("claims to have 9000000000000 shared texts"), "{error}");
    for (gap, zeros) in [(" ".repeat(300_000), String::new()), (String::new(), "0".repeat(300_000))] {
        let texts = format!(r#"<sst uniqueCount{gap}={gap}"{zeros}9000000000000"><si><t>x</t></si></sst>"#);
        let error = told_of(&with_parts(&[("xl/sharedStrings.xml", texts.as_bytes())]));
        assert!(error.contains("shared texts, more than there can be"), "{error}");
    }
    let formula = r#"<c r="A3" t="b"><f t="shared" ref="A3" si = '99999999999'>1</f><v>maybe</v></c>"#;
    let error = told_of(&workbook(&[("工单", &format!(r#"{HEADER}<row r="3">{formula}</row>"#))]));
    assert!(error.contains("claims to have 99999999999 shared formulas"), "{error}");
}

#[test]
fn a_row_has_no_more_cells_than_a_sheet_has_columns() {
    let row = r#"<c r="A3"><v>1</v></c>"#.repeat(MAX_COLUMNS + 1);
    let error = told_of(&workbook(&[("工单", &format!(r#"{HEADER}<row r="3">{row}</row>"#))]));
    assert!(error.contains("sheet `工单` of `a.xlsx`"), "{error}");
}

#[test]
fn a_sheet_that_claims_to_be_as_large_as_can_be_takes_no_memory_for_it() {
    let sheet = format!(
        r#"<worksheet {NAMESPACE}><dimension ref="A1:XFD1048576"/><sheetData>{HEADER}<row r="3"><c r="A3"><v>1</v></c></row></sheetData></worksheet>"#
    );
    let workbook = with_parts(&[("xl/worksheets/sheet1.xml", sheet.as_bytes())]);
    let (survey, rows) = tables("a.xlsx", workbook).remove(0);
    assert_eq!((survey.rows, rows.len()), (1, 1));
}

#[test]
fn entities_that_are_made_of_others_are_not_expanded() {
    let entity = |level: usize| format!(r#"<!ENTITY l{level} "{}">"#, format!("&l{};", level - 1).repeat(10));
    let entities: Vec<_> = (1..10).map(entity).collect();
    let texts = format!(
        "<!DOCTYPE sst [<!ENTITY l0 \"ha\">{}]><sst><si><t>&l9;</t></si><si><t>x</t></si></sst>",
        entities.concat()
    );
    let error = told_of(&with_parts(&[("xl/sharedStrings.xml", texts.as_bytes())]));
    assert!(error.contains("cannot read"), "{error}");
}
