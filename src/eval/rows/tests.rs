use super::*;
use crate::request::Field;

fn read(name: &str, content: &str, columns: &Columns, problem: Problem) -> Result<LabelledRows, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    LabelledRows::read(&[path], columns, problem)
        .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn one(name: &str, content: &str) -> Result<LabelledRows, String> {
    read(name, content, &columns("label"), Problem::SingleLabelClassification)
}

fn columns(label: &str) -> Columns {
    Columns { text: "text".into(), label: label.into(), ..Columns::default() }
}

fn gold(labels: &[&str]) -> GoldLabels {
    GoldLabels::One(labels.iter().map(|label| (*label).to_owned()).collect())
}

#[test]
fn reads_json_lines_and_leaves_out_rows_without_a_label() {
    let content = "\u{feff}{\"title\": \"噪音\", \"text\": \"夜里施工\", \"label\": \" environment \"}\r\n\r\n\
        {\"text\": \"没有标签\"}\n{\"text\": \"\", \"label\": null}\n{\"text\": \"空\", \"label\": \" \"}\n\
        {\"title\": \"只有标题\", \"text\": \" \", \"label\": 7}";
    let rows = one("rows.JSONL", content).unwrap();
    assert_eq!(rows.gold(), &gold(&["environment", "7"]));
    assert_eq!(rows.without_label(), 3);
    assert_eq!(rows.texts()[0].original(Field::Title), "噪音");
    assert_eq!(rows.texts()[1].original(Field::Text), "只有标题");
    assert_eq!(rows.texts()[1].original(Field::Title), "");
}

#[test]
fn reads_csv_with_its_quotes_and_a_byte_order_mark() {
    let content = "\u{feff}label,text,title\r\nhousing,\"漏水,\n\"\"没人管\"\"\",物业\r\n,没有标签,\r\n";
    let rows = one("rows.csv", content).unwrap();
    assert_eq!(rows.gold(), &gold(&["housing"]));
    assert_eq!(rows.without_label(), 1);
    assert_eq!(rows.texts()[0].original(Field::Text), "漏水,\n\"没人管\"");
    assert_eq!(rows.texts()[0].original(Field::Title), "物业");
}

#[test]
fn reads_lists_of_labels_and_keeps_empty_ones() {
    let many = Problem::MultiLabelClassification;
    let json = "{\"text\": \"一\", \"label\": [\"fraud\", \"threat\"]}\n{\"text\": \"二\", \"label\": []}\n{\"text\": \"三\"}";
    let csv = "text,label\n一,\"[\"\"fraud\"\", \"\"threat\"\"]\"\n二,[]\n";
    let separated = "text,label\n一,fraud；threat\n二,\n";
    for (name, content, without) in
        [("rows.ndjson", json, 1), ("rows.csv", csv, 0), ("rows.csv", separated, 0)]
    {
        let rows = read(name, content, &columns("label"), many).unwrap();
        assert_eq!(rows.gold(), &GoldLabels::Many(vec![vec!["fraud".into(), "threat".into()], vec![]]));
        assert_eq!(rows.without_label(), without);
    }
    let error = read("rows.jsonl", "{\"text\": \"一\", \"label\": 7}", &columns("label"), many).unwrap_err();
    assert!(error.starts_with("rows.jsonl:1: `label` holds one value, not a list of labels"), "{error}");
}

#[test]
fn a_column_that_names_rows_is_no_slice() {
    let columns = Columns { slices: vec!["id".to_owned()], ..columns("label") };
    let rows = |count: usize| {
        let line = |row| format!("r{row},一,a\n");
        let content: String = (0..count).map(line).collect();
        read("rows.csv", &format!("id,text,label\n{content}"), &columns, Problem::SingleLabelClassification)
    };
    let error = rows(1001).unwrap_err();
    assert!(error.starts_with("column `id` has 1001 different values\nhint: "), "{error}");
    assert!(rows(1000).is_ok());
}

#[test]
fn tells_rows_that_cannot_be_read_and_those_that_cannot_be_used_at_once() {
    let content = "{\"text\": \"好的\", \"label\": \"a\"}\n{\"text\": 3, \"label\": \"a\"}\n\"一句话\"\n\
        {\"text\": \"\", \"label\": \"a\"}\n{\"text\": \"五\", \"label\": [\"a\"]}";
    let error = one("rows.jsonl", content).unwrap_err();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(
        lines,
        [
            "rows.jsonl:2: `text` holds a number, not a text",
            "rows.jsonl:3: is not a JSON object",
            "rows.jsonl:4: text: is empty; pass the citizen's words",
            "rows.jsonl:5: `label` holds a list, not one label",
        ]
    );
}

#[test]
fn names_a_column_that_no_row_has() {
    let row = "{\"id\": 1, \"text\": \"一\", \"label\": \"a\"}";
    let single = Problem::SingleLabelClassification;
    let error = read("rows.jsonl", row, &columns("category"), single).unwrap_err();
    assert_eq!(error, "`rows.jsonl` has no column `category`\nhint: its columns are `id`, `text`, `label`");
    let title = Columns { title: Some("subject".into()), ..columns("label") };
    assert!(read("rows.jsonl", row, &title, single).unwrap_err().contains("no column `subject`"));
    assert!(one("rows.csv", "body,label\n一,a\n").unwrap_err().contains("no column `text`"));
}

#[test]
fn refuses_a_file_without_labels() {
    assert_eq!(
        one("rows.jsonl", "{\"text\": \"一\", \"label\": null}").unwrap_err(),
        "none of the 1 rows of `rows.jsonl` has a label in column `label`"
    );
    assert_eq!(one("rows.csv", "text,label\n").unwrap_err(), "`rows.csv` has no rows");
}

#[test]
fn replaces_labels_that_have_a_replacement() {
    let mut rows = one("rows.csv", "text,label\n一,住房物业\n二,housing\n").unwrap();
    rows.replace_labels(|label| (label == "住房物业").then(|| "housing".to_owned()));
    assert_eq!(rows.gold(), &gold(&["housing", "housing"]));
}

#[test]
fn a_row_is_known_by_its_id_or_by_its_place() {
    let rows = one("rows.csv", "id,text,label\nA1,一,a\n,二,\n,三,b\n").unwrap();
    assert_eq!(rows.ids(), ["A1", "row 3"]);
    let folder = tempfile::tempdir().unwrap();
    let files = ["x.csv", "y.csv"].map(|name| folder.path().join(name));
    for file in &files {
        std::fs::write(file, "text,label\n一,a\n").unwrap();
    }
    let rows = LabelledRows::read(&files, &columns("label"), Problem::SingleLabelClassification).unwrap();
    assert!(rows.ids()[1].ends_with("y.csv, row 1"), "{:?}", rows.ids());
}

#[test]
fn slices_and_supporting_departments_are_read_beside_the_label() {
    let columns = Columns {
        supporting: Some("help".into()),
        slices: ["区", "时间:month", "length"].map(str::to_owned).to_vec(),
        ..columns("label")
    };
    let content = "text,label,区,时间,help\n一,a,东区,2024-05-01,甲; 乙\n二,b,,昨天,\n";
    let rows = read("rows.csv", content, &columns, Problem::SingleLabelClassification).unwrap();
    assert_eq!(rows.slice_values(0), [["东区"], ["(none)"]]);
    assert_eq!(rows.slice_values(1), [["2024-05"], ["(none)"]]);
    assert_eq!(rows.slice_values(2), [["1–50"], ["1–50"]]);
    assert_eq!(rows.supporting().unwrap(), [vec!["甲".to_owned(), "乙".to_owned()], vec![]]);
    let error = read("rows.csv", "text,label\n一,a\n", &columns, Problem::SingleLabelClassification);
    assert!(error.unwrap_err().contains("has no column `help`"));
}
