//! Which columns hold what. Every city names them otherwise; these are the names that have been seen.

use std::path::Path;

use datafusion::arrow::datatypes::{DataType, Fields};
use serde::{Deserialize, Serialize};

use super::InputError;
use crate::request::normalize_words;

/// Names of the column of the words, the likeliest first.
const TEXT: &[&str] = &[
    "text",
    "主要内容",
    "诉求内容",
    "留言详情",
    "留言内容",
    "反映内容",
    "诉求详情",
    "工单内容",
    "来电内容",
    "问题描述",
    "诉求描述",
    "事件描述",
    "信件内容",
    "投诉内容",
    "内容",
    "详情",
    "正文",
    "content",
    "body",
    "description",
    "message",
];
/// Of the title.
const TITLE: &[&str] = &[
    "title",
    "标题",
    "诉求标题",
    "工单标题",
    "留言主题",
    "留言标题",
    "信件标题",
    "事件标题",
    "主题",
    "subject",
];
/// Of the area; a district is known to more directories than a street.
const AREA: &[&str] = &[
    "area",
    "区",
    "区县",
    "所属区",
    "所属区县",
    "行政区",
    "行政区划",
    "区域",
    "所属区域",
    "地区",
    "属地",
    "district",
    "街道",
    "街道乡镇",
    "所属街道",
];
/// Of the id.
const ID: &[&str] = &[
    "id",
    "工单编号",
    "工单号",
    "诉求编号",
    "留言编号",
    "信件编号",
    "受理编号",
    "事件编号",
    "编号",
    "request_id",
    "ticket_id",
];
/// Of a label that the rows had before.
const LABEL: &[&str] = &[
    "category",
    "问题分类",
    "诉求分类",
    "问题类别",
    "诉求类别",
    "治理类别",
    "内容分类",
    "工单分类",
    "留言分类",
    "分类",
    "类别",
    "label",
];

/// The columns that the user named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedColumns {
    /// The citizens' words.
    pub text: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The area.
    pub area: Option<String>,
    /// The id.
    pub id: Option<String>,
    /// The label that the rows had before.
    pub label: Option<String>,
}

/// Which columns of a table hold what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// The citizens' words.
    pub text: String,
    /// The title.
    pub title: Option<String>,
    /// The area.
    pub area: Option<String>,
    /// The id.
    pub id: Option<String>,
    /// The label that the rows had before.
    pub label: Option<String>,
}

impl Roles {
    /// Finds the columns of a table: those that are named, or else those with usual names.
    pub(super) fn find(file: &Path, fields: &Fields, named: &NamedColumns) -> Result<Self, InputError> {
        let columns = || fields.iter().map(|field| field.name().clone()).collect();
        let role = |named: &Option<String>, usual: &[&str]| match named {
            Some(column) if fields.find(column).is_some() => Ok(Some(column.clone())),
            Some(column) => Err(InputError::NoColumn {
                file: file.to_owned(),
                column: column.clone(),
                columns: columns(),
            }),
            None => Ok(usual.iter().find_map(|usual| called(fields, usual))),
        };
        let Some(text) = role(&named.text, TEXT)? else {
            return Err(InputError::NoText { file: file.to_owned(), columns: columns() });
        };
        let data_type = fields.find(&text).map(|(_, field)| field.data_type().clone());
        if let Some(data_type) = data_type.filter(|data_type| !is_text(data_type)) {
            return Err(InputError::NotText { file: file.to_owned(), column: text, data_type });
        }
        let other = |role: Result<Option<String>, InputError>| {
            role.map(|column| column.filter(|column| *column != text))
        };
        Ok(Self {
            title: other(role(&named.title, TITLE))?,
            area: other(role(&named.area, AREA))?,
            id: other(role(&named.id, ID))?,
            label: other(role(&named.label, LABEL))?,
            text,
        })
    }
}

/// The column that is called so, whatever its script, case and width.
fn called(fields: &Fields, usual: &str) -> Option<String> {
    let same = |name: &str| name == usual || normalize_words(name).eq_ignore_ascii_case(usual);
    fields.iter().map(|field| field.name()).find(|name| same(name)).cloned()
}

fn is_text(data_type: &DataType) -> bool {
    let is_dictionary = matches!(data_type, DataType::Dictionary(_, values) if is_text(values));
    is_dictionary || matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::Field;

    use super::*;

    fn find(columns: &[&str], named: &NamedColumns) -> Result<Roles, String> {
        let fields = columns.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        Roles::find(Path::new("a.csv"), &fields, named).map_err(|error| error.to_string())
    }

    #[test]
    fn usual_names_are_known_in_both_scripts_and_any_width() {
        let roles =
            find(&["工单编号", " 標題 ", "主要內容", "區", "问题分类"], &NamedColumns::default()).unwrap();
        assert_eq!(roles.text, "主要內容");
        assert_eq!(roles.title.as_deref(), Some(" 標題 "));
        assert_eq!(roles.area.as_deref(), Some("區"));
        assert_eq!(roles.id.as_deref(), Some("工单编号"));
        assert_eq!(roles.label.as_deref(), Some("问题分类"));
        let roles = find(&["Ｔｅｘｔ", "ID"], &NamedColumns::default()).unwrap();
        assert_eq!((roles.text.as_str(), roles.id.as_deref(), roles.title), ("Ｔｅｘｔ", Some("ID"), None));
    }

    #[test]
    fn a_named_column_counts_and_must_be_there() {
        let named = NamedColumns { text: Some("备注".into()), ..NamedColumns::default() };
        assert_eq!(find(&["内容", "备注"], &named).unwrap().text, "备注");
        assert_eq!(
            find(&["内容"], &named).unwrap_err(),
            "`a.csv` has no column `备注`\nhint: its columns are `内容`"
        );
    }

    #[test]
    fn a_table_without_words_says_which_columns_it_has() {
        let error = find(&["甲", "乙"], &NamedColumns::default()).unwrap_err();
        assert!(error.contains("`--text-column COLUMN`; its columns are `甲`, `乙`"), "{error}");
        let fields = Fields::from(vec![Field::new("text", DataType::Int64, true)]);
        let error = Roles::find(Path::new("a.parquet"), &fields, &NamedColumns::default()).unwrap_err();
        assert!(error.to_string().starts_with("column `text` of `a.parquet` holds Int64"), "{error}");
    }
}
