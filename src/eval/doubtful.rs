//! Labels of the rows that may themselves be wrong: those that a confident model denies, and texts that occur with
//! different labels.

use std::collections::{BTreeMap, HashMap};

use super::gold::Gold;
use super::metrics::{SingleLabel, find_label_noise};
use super::report::{Duplicate, DuplicateLabel, LabelNoise};
use super::rows::LabelledRows;
use crate::request::{Field, RequestText};

/// How many doubtful rows or texts are told.
const MOST: usize = 50;
/// How many rows of a text and a label are named.
const MOST_IDS: usize = 20;

/// Rows whose label a confident model denies, the most doubtful first (Northcutt et al. 2021).
pub(super) fn label_noise(
    problem: &SingleLabel,
    rows: &LabelledRows,
    names: impl Fn(usize) -> String,
) -> Vec<LabelNoise> {
    let suspects = find_label_noise(problem).suspects.into_iter().take(MOST);
    let told = suspects.map(|suspect| LabelNoise {
        id: rows.ids()[suspect.row].clone(),
        text: masked(&rows.texts()[suspect.row]),
        given: names(suspect.given),
        suggested: names(suspect.suggested),
        score: 1.0 - suspect.score,
    });
    told.collect()
}

/// Texts that occur with different labels, those with the most rows first.
pub(super) fn duplicates(
    rows: &LabelledRows,
    gold: &Gold,
    names: impl Fn(&[usize]) -> String,
) -> Vec<Duplicate> {
    let mut places: HashMap<[&str; 2], Vec<usize>> = HashMap::new();
    for (row, text) in rows.texts().iter().enumerate() {
        places.entry([Field::Title, Field::Text].map(|field| text.normalized(field))).or_default().push(row);
    }
    let differ = |places: &Vec<usize>| places.iter().any(|row| gold.rows[*row] != gold.rows[places[0]]);
    let mut several: Vec<Vec<usize>> = places.into_values().filter(differ).collect();
    several.sort_by_key(|places| (std::cmp::Reverse(places.len()), places[0]));
    let told = several.into_iter().take(MOST).map(|places| {
        let mut ids: BTreeMap<&[usize], Vec<String>> = BTreeMap::new();
        for row in &places {
            ids.entry(&gold.rows[*row]).or_default().push(rows.ids()[*row].clone());
        }
        let label = |(labels, mut ids): (&[usize], Vec<String>)| {
            let rows = ids.len() as u64;
            ids.truncate(MOST_IDS);
            DuplicateLabel { label: names(labels), rows, ids }
        };
        Duplicate { text: masked(&rows.texts()[places[0]]), labels: ids.into_iter().map(label).collect() }
    });
    told.collect()
}

/// The words of a request with personal data masked: a report goes where the rows need not.
pub(super) fn masked(text: &RequestText) -> String {
    text.masked(Field::Text)
}
