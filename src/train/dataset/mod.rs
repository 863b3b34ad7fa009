//! From rows to encoded texts with the targets of each head.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use rayon::prelude::*;

use crate::classifier::{HeadConfig, Problem};
use crate::label::{LabelError, LabelSet};
use crate::table::{Labels, Table, TableError};
use crate::tokenizer::{TextTokenizer, TokenizerError};

use super::example::Example;
use super::loss::Target;
use super::settings::{HeadColumn, TextColumns};

mod row;

pub(crate) use row::{Excluded, TextRow};

use row::{ReadRow, read_row};

/// Why data cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file or row cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// No row is left to learn from.
    #[error("`{path}` has no row with a label in `{column}` that may be trained on")]
    NoRows {
        /// The file.
        path: PathBuf,
        /// The label column.
        column: String,
    },
    /// One label only, or a name twice.
    #[error("head `{head}`: {source}")]
    Labels {
        /// The head.
        head: String,
        /// What is wrong.
        source: LabelError,
    },
    /// Nothing to tell apart.
    #[error("head `{head}` has only the label `{label}`: there is nothing to learn")]
    OneLabel {
        /// The head.
        head: String,
        /// Its only label.
        label: String,
    },
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Rows of one or more files that teach the same heads.
pub(crate) struct TextRows {
    pub(crate) rows: Vec<TextRow>,
    pub(crate) counts: RowCounts,
    /// Name and SHA-256 of each file.
    pub(crate) digests: Vec<(String, String)>,
}

/// What became of the rows of a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct RowCounts {
    /// Rows of the files.
    pub read: usize,
    /// Rows left out since their id is among the excluded.
    pub excluded_by_id: usize,
    /// Rows left out since a dev row has the same words.
    pub excluded_by_text: usize,
    /// Rows left out since no head has a label there.
    pub without_label: usize,
    /// Rows whose words a row of the training set has, which teaches both sets.
    pub in_training_set: usize,
    /// Texts longer than a request may be, cut in the middle.
    pub cut: usize,
}

impl TextRows {
    /// Reads the rows of `tables` that may be trained on and have a label for one of the heads.
    pub(crate) fn read(
        tables: &[Table],
        columns: &TextColumns,
        heads: &[HeadColumn],
        excluded: &Excluded,
    ) -> Result<Self, DatasetError> {
        let mut rows = Vec::new();
        let mut counts = RowCounts::default();
        for table in tables {
            table.require_columns(
                std::iter::once(&columns.text).chain(heads.iter().flat_map(HeadColumn::columns)),
            )?;
            for read in table.map_rows(|row| read_row(row, columns, heads, excluded))? {
                counts.read += 1;
                match read {
                    ReadRow::ExcludedById => counts.excluded_by_id += 1,
                    ReadRow::ExcludedByText => counts.excluded_by_text += 1,
                    ReadRow::WithoutLabel => counts.without_label += 1,
                    ReadRow::Used { row, cut } => {
                        counts.cut += usize::from(cut);
                        rows.push(*row);
                    }
                }
            }
        }
        let digests = tables
            .iter()
            .map(|table| (table.path().display().to_string(), table.digest().to_owned()))
            .collect();
        if let (true, Some(table), Some(head)) = (rows.is_empty(), tables.first(), heads.first()) {
            return Err(DatasetError::NoRows { path: table.path().to_owned(), column: head.column.clone() });
        }
        Ok(Self { rows, counts, digests })
    }

    /// Takes a share of the rows out, for measuring; which ones depends on the words and the seed only.
    pub(crate) fn hold_out(&mut self, share: f64, seed: u64) -> Self {
        let held_out = |row: &TextRow| f64::from(row.lot(seed)) < share * 65_536.0;
        let (dev, train) = std::mem::take(&mut self.rows).into_iter().partition(held_out);
        self.rows = train;
        Self { rows: dev, counts: RowCounts::default(), digests: Vec::new() }
    }

    /// Takes over the labels of those rows of another set whose words rows of this one have: a text that both know is then
    /// read once and teaches both. They become the labels of one more head; the other set keeps its other rows.
    pub(crate) fn take_labels(&mut self, other: &mut Self) {
        let own: HashSet<&str> = self.rows.iter().map(TextRow::words).collect();
        let (shared, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut other.rows).into_iter().partition(|row| own.contains(row.words()));
        other.rows = rest;
        other.counts.in_training_set = shared.len();
        let labels: HashMap<&str, &Option<Labels>> =
            shared.iter().map(|row| (row.words(), &row.labels[0])).collect();
        for row in &mut self.rows {
            let taken = labels.get(row.words()).and_then(|labels| (*labels).clone());
            row.labels.push(taken);
            row.also.push(Vec::new());
        }
    }

    /// What heads can be learnt from the rows. Labels stand in the order of the first of `orders` that knows them all,
    /// else sorted.
    pub(crate) fn heads(
        &self,
        heads: &[HeadColumn],
        orders: &[Vec<String>],
    ) -> Result<Vec<HeadConfig>, DatasetError> {
        heads.iter().enumerate().map(|(index, head)| self.head(index, head, orders)).collect()
    }

    fn head(
        &self,
        index: usize,
        head: &HeadColumn,
        orders: &[Vec<String>],
    ) -> Result<HeadConfig, DatasetError> {
        let mut problem = Problem::SingleLabelClassification;
        let mut found = BTreeSet::new();
        for labels in self.rows.iter().filter_map(|row| row.labels[index].as_ref()) {
            match labels {
                Labels::One(label) => drop(found.insert(label.as_str())),
                Labels::Many(labels) => {
                    problem = Problem::MultiLabelClassification;
                    found.extend(labels.iter().map(String::as_str));
                }
            }
        }
        let known =
            orders.iter().find(|order| found.iter().all(|label| order.iter().any(|known| known == label)));
        let names: Vec<&str> = match known {
            Some(order) => order.iter().map(String::as_str).filter(|label| found.contains(label)).collect(),
            None => found.into_iter().collect(),
        };
        if let (Problem::SingleLabelClassification, [label]) = (problem, names.as_slice()) {
            return Err(DatasetError::OneLabel { head: head.head.clone(), label: (*label).to_owned() });
        }
        let labels = LabelSet::new(names)
            .map_err(|source| DatasetError::Labels { head: head.head.clone(), source })?;
        Ok(HeadConfig { name: head.head.clone(), problem, labels })
    }

    /// Encodes the texts and numbers the labels. Labels that a head does not have get numbers of their own, from the
    /// number of its labels on: nothing predicts them, so they count as mistakes.
    pub(crate) fn encode(
        &self,
        heads: &[&LabelSet],
        tokenizer: &TextTokenizer,
        max_tokens: usize,
    ) -> Result<Vec<Example>, DatasetError> {
        let unknown: Vec<HashMap<&str, usize>> =
            heads.iter().enumerate().map(|(index, labels)| self.unknown_labels(index, labels)).collect();
        let number = |head: usize, label: &str| heads[head].id(label).unwrap_or_else(|| unknown[head][label]);
        self.rows
            .par_iter()
            .map(|row| {
                let encoded = tokenizer.encode(&row.text, max_tokens)?;
                let targets = row.labels.iter().enumerate().map(|(head, labels)| match labels {
                    None => Target::Missing,
                    Some(Labels::One(label)) => Target::One(number(head, label)),
                    Some(Labels::Many(labels)) => Target::Many(
                        labels
                            .iter()
                            .map(|label| number(head, label))
                            .collect::<BTreeSet<_>>()
                            .into_iter()
                            .collect(),
                    ),
                });
                let also = row
                    .also
                    .iter()
                    .zip(heads)
                    .map(|(also, labels)| also.iter().filter_map(|label| labels.id(label)).collect());
                Ok(Example::new(encoded, targets.collect(), also.collect()))
            })
            .collect()
    }

    /// A label of the rows that is not among `known`, if there is one.
    pub(crate) fn unknown_label(&self, head: usize, known: &LabelSet) -> Option<String> {
        self.unknown_labels(head, known).into_keys().min().map(str::to_owned)
    }

    fn unknown_labels(&self, index: usize, known: &LabelSet) -> HashMap<&str, usize> {
        let labels =
            self.rows.iter().filter_map(|row| row.labels[index].as_ref()).flat_map(|labels| match labels {
                Labels::One(label) => std::slice::from_ref(label),
                Labels::Many(labels) => labels,
            });
        let unknown: BTreeSet<&str> =
            labels.map(String::as_str).filter(|label| known.id(label).is_none()).collect();
        unknown.into_iter().zip(known.len()..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::ModelFiles;
    use crate::request::Field;

    fn table(content: &str) -> Table {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, content).unwrap();
        Table::read(&path).unwrap()
    }

    fn head(name: &str) -> HeadColumn {
        HeadColumn::new(name, name)
    }

    const ROWS: &str = r#"{"id": "1", "title": "路灯", "text": "", "category": "roads", "risks": []}
{"id": "2", "text": "停水三天", "category": "water", "risks": ["outage"]}
{"id": 3, "text": "噪声太大", "risks": null}
{"id": "4", "text": "停水三天", "category": "water"}
"#;

    fn read(heads: &[HeadColumn], excluded: &Excluded) -> Result<TextRows, DatasetError> {
        TextRows::read(&[table(ROWS)], &TextColumns::default(), heads, excluded)
    }

    #[test]
    fn counts_what_it_leaves_out() {
        let mut excluded = Excluded::default();
        excluded.ids.insert("4".into());
        excluded.ids.insert("3".into());
        let rows = read(&[head("category")], &excluded).unwrap();
        assert_eq!(rows.counts, RowCounts { read: 4, excluded_by_id: 2, ..RowCounts::default() });
        let mut excluded = Excluded::default();
        excluded.texts.insert("停水三天".into());
        let rows = read(&[head("category")], &excluded).unwrap();
        assert_eq!((rows.counts.excluded_by_text, rows.counts.without_label, rows.rows.len()), (2, 1, 1));
    }

    #[test]
    fn a_title_stands_in_for_a_missing_text() {
        let rows = read(&[head("category")], &Excluded::default()).unwrap();
        assert_eq!(rows.rows[0].text.normalized(Field::Text), "路灯");
        assert_eq!(rows.rows[0].text.normalized(Field::Title), "");
    }

    #[test]
    fn lists_make_a_head_of_labels_that_may_hold_together() {
        let rows = read(&[head("category"), head("risks")], &Excluded::default()).unwrap();
        let order = vec!["water".to_owned(), "air".to_owned(), "roads".to_owned()];
        let heads = rows.heads(&[head("category"), head("risks")], &[order]).unwrap();
        assert_eq!(heads[0].labels.iter().collect::<Vec<_>>(), ["water", "roads"]);
        assert_eq!(heads[0].problem, Problem::SingleLabelClassification);
        assert_eq!(heads[1].problem, Problem::MultiLabelClassification);
        let files =
            ModelFiles::embedded("test", &[("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n停".as_bytes())]);
        let tokenizer = TextTokenizer::load(&files).unwrap();
        let examples = rows.encode(&[&heads[0].labels, &heads[1].labels], &tokenizer, 16).unwrap();
        assert_eq!(*examples[0].targets, [Target::One(1), Target::Many(vec![])]);
        assert_eq!(*examples[1].targets, [Target::One(0), Target::Many(vec![0])]);
        assert_eq!(*examples[2].targets, [Target::One(0), Target::Missing]);
    }

    #[test]
    fn further_labels_stand_beside_the_one_that_holds() {
        let rows = r#"{"text": "停水", "category": "water", "too": ["roads", "unknown"]}
{"text": "路灯", "category": "roads", "too": []}"#;
        let head = HeadColumn { also: Some("too".into()), ..head("category") };
        let heads = [head];
        let rows =
            TextRows::read(&[table(rows)], &TextColumns::default(), &heads, &Excluded::default()).unwrap();
        let labels = LabelSet::new(["roads", "water"]).unwrap();
        let files =
            ModelFiles::embedded("test", &[("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n停".as_bytes())]);
        let examples = rows.encode(&[&labels], &TextTokenizer::load(&files).unwrap(), 16).unwrap();
        assert_eq!((&examples[0].targets[0], &*examples[0].also[0]), (&Target::One(1), &[0][..]));
        assert!(examples[1].also[0].is_empty());
    }

    #[test]
    fn labels_that_a_head_lacks_count_as_mistakes() {
        let rows = read(&[head("category")], &Excluded::default()).unwrap();
        let unknown = rows.unknown_labels(0, &LabelSet::new(["water", "air"]).unwrap());
        assert_eq!(unknown, HashMap::from([("roads", 2)]));
    }

    #[test]
    fn says_which_column_is_missing() {
        let error = read(&[head("kategory")], &Excluded::default()).err().unwrap().to_string();
        assert!(error.contains("no column `kategory`") && error.contains("`category`, `risks`"), "{error}");
    }

    #[test]
    fn refuses_a_row_without_words() {
        let rows = TextRows::read(
            &[table("{\"text\": \"好\", \"category\": \"a\"}\n{\"text\": \" \", \"category\": \"a\"}")],
            &TextColumns::default(),
            &[head("category")],
            &Excluded::default(),
        );
        let error = rows.err().unwrap().to_string();
        assert!(error.contains("rows.jsonl:2: text: is empty"), "{error}");
    }

    #[test]
    fn a_text_that_another_set_knows_too_teaches_both() {
        let mut rows = read(&[head("category")], &Excluded::default()).unwrap();
        let other =
            table("{\"text\": \"停水三天\", \"office\": \"x\"}\n{\"text\": \"没有暖气\", \"office\": \"y\"}");
        let mut other =
            TextRows::read(&[other], &TextColumns::default(), &[head("office")], &Excluded::default())
                .unwrap();
        rows.take_labels(&mut other);
        let taken: Vec<_> = rows.rows.iter().map(|row| row.labels[1].clone()).collect();
        let office = Some(Labels::One("x".into()));
        assert_eq!(taken, [None, office.clone(), office]);
        assert_eq!(other.rows.iter().map(TextRow::words).collect::<Vec<_>>(), ["没有暖气"]);
        assert_eq!(other.counts.in_training_set, 1);
    }

    #[test]
    fn holding_out_splits_for_good() {
        let mut rows = read(&[head("category")], &Excluded::default()).unwrap();
        let all = rows.rows.len();
        let dev = rows.hold_out(0.5, 1);
        assert_eq!(dev.rows.len() + rows.rows.len(), all);
    }
}
