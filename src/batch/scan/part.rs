//! Parts: what is read, classified and written together, and durable or not at all.

use serde::{Deserialize, Serialize};

/// Rows of one table that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::batch) struct Slice {
    /// Which of the job's tables.
    pub(in crate::batch) table: usize,
    /// The first of its rows, counted from 0.
    pub(in crate::batch) first_row: u64,
    /// How many.
    pub(in crate::batch) rows: u64,
}

/// Slices that follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::batch) struct Part {
    pub(in crate::batch) index: u32,
    pub(in crate::batch) slices: Vec<Slice>,
}

impl Part {
    /// How many rows it has.
    pub(in crate::batch) fn rows(&self) -> u64 {
        self.slices.iter().map(|slice| slice.rows).sum()
    }
}

/// Cuts tables of so many rows into parts of `part_rows` rows; only the last has fewer. `limit` rows at most are taken.
pub(in crate::batch) fn cut(tables: &[u64], part_rows: u64, limit: Option<u64>) -> Vec<Part> {
    let mut left = limit.unwrap_or(u64::MAX);
    let mut parts: Vec<Part> = Vec::new();
    let mut room = 0;
    for (table, &rows) in tables.iter().enumerate() {
        let rows = rows.min(left);
        left -= rows;
        let mut first_row = 0;
        while first_row < rows {
            if room == 0 {
                parts.push(Part { index: parts.len() as u32, slices: Vec::new() });
                room = part_rows.max(1);
            }
            let slice = Slice { table, first_row, rows: room.min(rows - first_row) };
            first_row += slice.rows;
            room -= slice.rows;
            if let Some(part) = parts.last_mut() {
                part.slices.push(slice);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_is_in_exactly_one_part(
            tables in proptest::collection::vec(0..40_u64, 0..6),
            part_rows in 1..15_u64,
            limit in proptest::option::of(0..120_u64),
        ) {
            let parts = cut(&tables, part_rows, limit);
            let rows: Vec<(usize, u64)> = parts
                .iter()
                .flat_map(|part| &part.slices)
                .flat_map(|slice| (slice.first_row..slice.first_row + slice.rows).map(|row| (slice.table, row)))
                .collect();
            let all = tables.iter().enumerate().flat_map(|(table, rows)| (0..*rows).map(move |row| (table, row)));
            let wanted: Vec<_> = all.take(limit.map_or(usize::MAX, |limit| limit as usize)).collect();
            prop_assert_eq!(rows, wanted);
            let full = parts.len().saturating_sub(1);
            prop_assert!(parts[..full].iter().all(|part| part.rows() == part_rows));
        }
    }
}
