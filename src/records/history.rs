//! Reads corrections: page by page, while the writer goes on.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, named_params};
use serde::Serialize;

use super::correction::{CorrectionReason, RecordedCorrection};
use super::error::RecordsError;
use super::table::{self, CORRECTIONS};

/// Most corrections on a page.
pub const MAX_PAGE: u32 = 1_000;
/// Most bytes of words and ids on a page, but for a single correction: clients of gRPC take 4 MiB as they are.
const MAX_PAGE_BYTES: usize = 2 << 20;

/// Which corrections are asked for; what is not set does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CorrectionFilter {
    /// Recorded then or later, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Recorded before then, in milliseconds since 1970.
    pub until: Option<i64>,
    /// The reason.
    pub reason: Option<CorrectionReason>,
    /// The category that was suggested or decided.
    pub category: Option<String>,
    /// The lead that was suggested or decided.
    pub lead: Option<String>,
}

/// Some corrections, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CorrectionPage {
    /// The corrections.
    pub corrections: Vec<RecordedCorrection>,
    /// The id after which the next page starts; none where this is the last.
    pub next_after: Option<i64>,
}

/// Reads the corrections of a folder. Each call has a connection of its own, so calls do not wait for each other.
#[derive(Debug, Clone)]
pub struct CorrectionReader {
    dir: PathBuf,
}

impl CorrectionReader {
    /// Reads the corrections in the folder `dir`, also of another process.
    ///
    /// # Errors
    /// If there is no file of corrections, or it has another schema version or cannot be read.
    pub fn open(dir: &Path) -> Result<Self, RecordsError> {
        CORRECTIONS.read(dir)?;
        Ok(Self::of(dir))
    }

    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Lists the corrections that `filter` lets through and whose ids are larger than `after`, oldest first: at most
    /// `limit`, and fewer where they are long.
    ///
    /// # Errors
    /// If `limit` is not in 1 to [`MAX_PAGE`], or the file cannot be read.
    pub fn list(
        &self,
        filter: &CorrectionFilter,
        after: i64,
        limit: u32,
    ) -> Result<CorrectionPage, RecordsError> {
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(RecordsError::invalid("limit", format!("is {limit}; 1 to {MAX_PAGE} is accepted")));
        }
        let list = |connection: &Connection| {
            let ids = ids_between(connection, filter.since, filter.until)?;
            let mut select = connection.prepare(
                "SELECT * FROM corrections WHERE id >= :start AND id < :end
                AND (:reason IS NULL OR reason = :reason)
                AND (:category IS NULL OR :category IN (suggested_category, decided_category))
                AND (:lead IS NULL OR :lead IN (suggested_lead, decided_lead))
                ORDER BY id LIMIT :limit",
            )?;
            let parameters = named_params! {
                ":start": ids.start.max(after.saturating_add(1)),
                ":end": ids.end,
                ":reason": filter.reason.map(CorrectionReason::id),
                ":category": filter.category,
                ":lead": filter.lead,
                // One more, to see whether there is another page.
                ":limit": limit + 1,
            };
            fill_page(select.query_map(parameters, table::read)?, limit as usize)
        };
        self.read(list)
    }

    /// Runs a query.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, RecordsError> {
        let connection = CORRECTIONS.read(&self.dir)?;
        query(&connection)
            .map_err(|source| RecordsError::sqlite(&self.dir.join(CORRECTIONS.file_name), source))
    }
}

/// Takes as many corrections as a page holds, one at least where there is one.
fn fill_page(
    found: impl Iterator<Item = rusqlite::Result<RecordedCorrection>>,
    limit: usize,
) -> rusqlite::Result<CorrectionPage> {
    let (mut corrections, mut bytes) = (Vec::new(), 0);
    for recorded in found {
        let recorded: RecordedCorrection = recorded?;
        bytes += recorded.correction.bytes();
        if let Some(RecordedCorrection { id, .. }) = corrections.last()
            && (corrections.len() == limit || bytes > MAX_PAGE_BYTES)
        {
            let next_after = Some(*id);
            return Ok(CorrectionPage { corrections, next_after });
        }
        corrections.push(recorded);
    }
    Ok(CorrectionPage { corrections, next_after: None })
}

/// The ids of the corrections that were recorded in a period; times never run against ids, so that is one range.
pub(super) fn ids_between(
    connection: &Connection,
    since: Option<i64>,
    until: Option<i64>,
) -> rusqlite::Result<Range<i64>> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM corrections WHERE recorded_at >= ?1 ORDER BY recorded_at, id LIMIT 1",
    )?;
    let mut first_at = |time: i64| -> rusqlite::Result<i64> {
        Ok(select.query_row([time], |row| row.get(0)).optional()?.unwrap_or(i64::MAX))
    };
    let start = since.map_or(Ok(0), &mut first_at)?;
    let end = until.map_or(Ok(i64::MAX), &mut first_at)?;
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::super::correction::tests::street_lamp;
    use super::*;

    /// Thirty corrections, three each second from 1000 on, with reasons, categories and leads that take turns.
    fn thirty(dir: &Path) -> CorrectionReader {
        let connection = CORRECTIONS.open(dir).unwrap();
        for (number, time) in (0..30_usize).zip(3_000..) {
            let mut correction = street_lamp(&format!("r{number}"));
            correction.reason = CorrectionReason::ALL[number % 5];
            correction.decided.category = ["street_lighting", "noise"][number % 2].to_owned();
            correction.decided.lead = ["city_management", "police", "housing_bureau"][number % 3].to_owned();
            table::insert(&connection, time / 3, &correction).unwrap();
        }
        CorrectionReader::open(dir).unwrap()
    }

    fn ids(page: &CorrectionPage) -> Vec<i64> {
        page.corrections.iter().map(|recorded| recorded.id).collect()
    }

    #[test]
    fn pages_joined_are_the_whole_list() {
        let dir = tempfile::tempdir().unwrap();
        let reader = thirty(dir.path());
        let filters = [
            CorrectionFilter::default(),
            CorrectionFilter { since: Some(1_002), until: Some(1_009), ..CorrectionFilter::default() },
            CorrectionFilter { category: Some("noise".to_owned()), ..CorrectionFilter::default() },
            CorrectionFilter { lead: Some("nobody".to_owned()), ..CorrectionFilter::default() },
        ];
        for filter in &filters {
            let whole = reader.list(filter, 0, MAX_PAGE).unwrap();
            assert_eq!(whole.next_after, None);
            for limit in [1, 2, 7, 15, 29, 30, 31] {
                let (mut joined, mut after) = (Vec::new(), Some(0));
                while let Some(start) = after {
                    let page = reader.list(filter, start, limit).unwrap();
                    assert!(page.corrections.len() <= limit as usize);
                    after = page.next_after;
                    joined.extend(page.corrections);
                }
                assert_eq!(joined, whole.corrections, "{filter:?} in pages of {limit}");
            }
        }
    }

    #[test]
    fn every_filter_keeps_what_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let reader = thirty(dir.path());
        let list = |filter| reader.list(&filter, 0, MAX_PAGE).unwrap();
        let filter =
            CorrectionFilter { since: Some(1_001), until: Some(1_003), ..CorrectionFilter::default() };
        assert_eq!(ids(&list(filter)), [4, 5, 6, 7, 8, 9]);
        let filter = CorrectionFilter { since: Some(2_000), ..CorrectionFilter::default() };
        assert_eq!(list(filter).corrections, []);
        let reason = Some(CorrectionReason::Duplicate);
        assert_eq!(
            ids(&list(CorrectionFilter { reason, ..CorrectionFilter::default() })),
            [4, 9, 14, 19, 24, 29]
        );
        let count = |category: &str, lead: &str| {
            let category = Some(category.to_owned()).filter(|id| !id.is_empty());
            let lead = Some(lead.to_owned()).filter(|id| !id.is_empty());
            list(CorrectionFilter { category, lead, ..CorrectionFilter::default() }).corrections.len()
        };
        assert_eq!(count("housing", ""), 30, "suggested each time");
        assert_eq!(count("noise", ""), 15);
        assert_eq!(count("", "police"), 10, "a supporting department does not lead");
        assert_eq!(count("noise", "police"), 5);
    }

    #[test]
    fn refuses_pages_of_no_or_too_many_corrections() {
        let dir = tempfile::tempdir().unwrap();
        let reader = thirty(dir.path());
        for limit in [0, MAX_PAGE + 1] {
            let error = reader.list(&CorrectionFilter::default(), 0, limit).unwrap_err();
            assert!(matches!(error, RecordsError::Invalid { .. }), "{error}");
        }
    }

    #[test]
    fn pages_of_long_corrections_are_shorter_and_joined_still_the_whole_list() {
        let dir = tempfile::tempdir().unwrap();
        let connection = CORRECTIONS.open(dir.path()).unwrap();
        for number in 0..200 {
            let mut correction = street_lamp(&format!("r{number}"));
            correction.text = Some("灯".repeat(10_000));
            table::insert(&connection, 1, &correction).unwrap();
        }
        // None that is accepted is as long, but nothing may stop the list.
        let mut endless = street_lamp("endless");
        endless.text = Some("灯".repeat(MAX_PAGE_BYTES));
        table::insert(&connection, 1, &endless).unwrap();
        table::insert(&connection, 1, &street_lamp("last")).unwrap();
        let reader = CorrectionReader::open(dir.path()).unwrap();
        let (mut lengths, mut joined, mut after) = (Vec::new(), Vec::new(), Some(0));
        while let Some(start) = after {
            let page = reader.list(&CorrectionFilter::default(), start, MAX_PAGE).unwrap();
            lengths.push(page.corrections.len());
            joined.extend(ids(&page));
            after = page.next_after;
        }
        assert_eq!(lengths, [69, 69, 62, 1, 1]);
        assert_eq!(joined, (1..=202).collect::<Vec<_>>());
    }
}
