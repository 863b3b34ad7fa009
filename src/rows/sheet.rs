//! Sheets of a workbook, row by row.
//!
//! Of a workbook only the texts that its cells share are held. The first row that is not empty is the header, but for rows of
//! a single cell above one that looks like a header, which are a title. A thread reads ahead by a few rows, since the parser borrows the
//! workbook that it reads from.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::sync_channel;

use calamine::{Reader, SheetType, Xlsx, XlsxCellReader, XlsxError};

use super::cell::{Content, cell_name};
use super::error::ReadError;
use super::format::open;
use super::header::{Header, looks_like_header};
use super::{BrokenRow, Column, Entry, Layout, MAX_TITLE_ROWS, Rows, Source, Survey, until_error};

mod unpacked;

/// A sheet has no more columns.
const MAX_COLUMNS: usize = 16_384;

/// So many rows are read ahead.
const ROWS_AHEAD: usize = 256;

type Workbook = Xlsx<BufReader<File>>;

/// Reads all sheets from end to end. One that has no rows behind its header is left out.
pub(super) fn survey(path: &Path) -> Result<Vec<Survey>, ReadError> {
    unpacked::check(path)?;
    // The parser panics on some workbooks whose parts contradict each other.
    catch_unwind(AssertUnwindSafe(|| survey_sheets(path)))
        .unwrap_or_else(|_| Err(damaged(path, None, &"its parts contradict each other")))
}

fn survey_sheets(path: &Path) -> Result<Vec<Survey>, ReadError> {
    let mut workbook = open_workbook(path)?;
    let sheets = workbook.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let mut surveys = Vec::new();
    for name in sheets.map(|sheet| sheet.name.clone()).collect::<Vec<_>>() {
        let (mut header, mut filled, mut rows) = (None, BTreeSet::new(), 0);
        let title_rows = walk_table(&mut workbook, path, &name, |row| {
            filled.extend(row.cells.iter().map(|(position, _)| *position));
            if header.is_none() {
                header = Some(row.header());
            } else {
                rows += 1;
            }
            true
        })?;
        if let Some(header) = header.filter(|_| rows > 0) {
            let columns =
                filled.into_iter().map(|position| Column { name: header.name(position), json: false });
            let source = Source { path: path.to_owned(), layout: Layout::Sheet { name } };
            surveys.push(Survey { source, columns: columns.collect(), rows, title_rows });
        }
    }
    Ok(surveys)
}

/// The rows of one sheet.
pub(super) fn read(path: &Path, sheet: &str, columns: &[Column]) -> Result<Rows, ReadError> {
    let mut workbook = open_workbook(path)?;
    if !workbook.sheet_names().iter().any(|name| name == sheet) {
        return Err(ReadError::changed(path, format!("it has no sheet `{sheet}`")));
    }
    let (sender, receiver) = sync_channel(ROWS_AHEAD);
    let (path, name, columns) = (path.to_owned(), sheet.to_owned(), columns.to_vec());
    let (worker_path, worker_name) = (path.clone(), name.clone());
    let work = move || {
        let (path, name) = (worker_path, worker_name);
        let mut positions = None;
        let read = walk_table(&mut workbook, &path, &name, |row| match &positions {
            None => {
                positions = Some(positions_of(&columns, &row.header()));
                true
            }
            Some(positions) => {
                let entry = row.entry(positions, columns.len());
                let entry = entry
                    .ok_or_else(|| ReadError::changed(&path, format!("sheet `{name}` has other columns")));
                // Whoever reads may have had enough.
                sender.send(entry).is_ok()
            }
        });
        if let Err(error) = read {
            // As above.
            sender.send(Err(error)).ok();
        }
    };
    let worker = std::thread::Builder::new().name("sheet".to_owned()).spawn(work);
    let mut worker = Some(worker.map_err(|source| ReadError::reading(&path, source))?);
    Ok(until_error(move || {
        receiver.recv().ok().or_else(|| {
            // The parser panics on some damage rather than to tell of it.
            let panicked = worker.take()?.join().is_err();
            panicked.then(|| Err(damaged(&path, Some(&name), &"its cells do not make sense")))
        })
    }))
}

fn open_workbook(path: &Path) -> Result<Workbook, ReadError> {
    Workbook::new(BufReader::new(open(path)?)).map_err(|error| damaged(path, None, &error))
}

fn damaged(path: &Path, sheet: Option<&str>, problem: &impl ToString) -> ReadError {
    ReadError::Workbook {
        path: path.to_owned(),
        sheet: sheet.map(str::to_owned),
        problem: problem.to_string(),
    }
}

/// Which column each position in a row belongs to.
fn positions_of(columns: &[Column], header: &Header) -> Vec<Option<usize>> {
    let numbers: HashMap<&str, usize> = columns.iter().map(|column| column.name.as_str()).zip(0..).collect();
    (0..MAX_COLUMNS).map(|position| numbers.get(header.name(position).as_str()).copied()).collect()
}

/// A row that is not empty: the cells that are not, by position.
#[derive(Debug, Default)]
struct SheetRow {
    /// Counted from 0.
    number: u64,
    cells: Vec<(usize, Content)>,
}

impl SheetRow {
    fn is_blank(&self) -> bool {
        self.cells.iter().all(|(_, cell)| matches!(cell, Content::Text(text) if text.trim().is_empty()))
    }

    /// The texts up to the last cell that is not empty.
    fn texts(&self) -> Vec<Option<&str>> {
        let width = self.cells.iter().map(|(position, _)| position + 1).max().unwrap_or_default();
        let mut texts = vec![None; width];
        for (position, cell) in &self.cells {
            texts[*position] = Some(cell.text());
        }
        texts
    }

    fn header(&self) -> Header {
        Header::new(self.texts().into_iter().map(Option::unwrap_or_default))
    }

    /// The row as an entry, unless it has a cell in none of the columns.
    fn entry(self, positions: &[Option<usize>], columns: usize) -> Option<Entry> {
        let problem = self.cells.iter().find_map(|(position, cell)| {
            let name = cell_name(self.number, *position);
            match cell {
                Content::Text(_) => None,
                Content::Error(error) => Some(format!("cell {name} holds the error {error}")),
                Content::Unreadable => Some(format!("cell {name} cannot be read")),
            }
        });
        let line = self.number + 1;
        if let Some(problem) = problem {
            let raw = serde_json::to_vec(&self.texts()).unwrap_or_default();
            return Some(Entry { line, row: Err(BrokenRow { problem, raw }) });
        }
        let mut row = vec![None; columns];
        for (position, cell) in self.cells {
            row[positions[position]?] = Some(cell.text().to_owned());
        }
        Some(Entry { line, row: Ok(row) })
    }
}

/// Goes through the rows of a sheet from its header on, until there is no more or `row` says so; says how many rows above
/// the header are a title.
fn walk_table(
    workbook: &mut Workbook,
    path: &Path,
    sheet: &str,
    mut row: impl FnMut(SheetRow) -> bool,
) -> Result<usize, ReadError> {
    let mut above = Some(Vec::new());
    let mut title_rows = 0;
    let is_single = |found: &SheetRow| {
        found.texts().into_iter().flatten().filter(|text| !text.trim().is_empty()).count() == 1
    };
    let (mut last, mut disorder) = (None, None);
    walk(workbook, path, sheet, |found| match &mut above {
        // Whose cells stand in rows that there were before, nobody can say.
        _ if last.replace(found.number).is_some_and(|last| found.number <= last) => {
            disorder = Some(found.number + 1);
            false
        }
        None => row(found),
        Some(held) if is_single(&found) && held.len() < MAX_TITLE_ROWS => {
            held.push(found);
            true
        }
        Some(held) => {
            let mut rows = std::mem::take(held);
            above = None;
            if looks_like_header(found.texts().into_iter().flatten()) {
                title_rows = rows.len();
                rows.clear();
            }
            rows.into_iter().all(&mut row) && row(found)
        }
    })?;
    if let Some(line) = disorder {
        return Err(damaged(path, Some(sheet), &format!("its row {line} stands behind a later one")));
    }
    above.unwrap_or_default().into_iter().all(row);
    Ok(title_rows)
}

/// Goes through the rows of a sheet that are not empty until there is no more or `row` says so.
///
/// Where a cell holds no value that is known, the parser tells neither its place nor its end. Then the sheet is read
/// again, beside a second reader that looks at places alone.
fn walk(
    workbook: &mut Workbook,
    path: &Path,
    sheet: &str,
    mut row: impl FnMut(SheetRow) -> bool,
) -> Result<(), ReadError> {
    let in_sheet = |error| damaged(path, Some(sheet), &error);
    let mut given = 0_u64;
    let quick = {
        let mut cells = workbook.worksheet_cells_reader(sheet).map_err(in_sheet)?;
        let next = || Ok(cells.next_cell()?.map(|cell| (cell.get_position(), Content::of(cell.get_value()))));
        gather(next, |found| {
            given += 1;
            row(found)
        })
    };
    match quick {
        Err(error) if is_of_value(&error) => {}
        Err(error) => return Err(in_sheet(error)),
        Ok(()) => return Ok(()),
    }
    let mut second = open_workbook(path)?;
    let mut places = second.worksheet_cells_reader(sheet).map_err(in_sheet)?;
    let mut cells = workbook.worksheet_cells_reader(sheet).map_err(in_sheet)?;
    let next = || placed(&mut cells, &mut places);
    gather(next, |found| {
        if given > 0 {
            given -= 1;
            return true;
        }
        row(found)
    })
    .map_err(in_sheet)
}

type Placed = Option<((u32, u32), Option<Content>)>;

/// The next cell and its place, even if it holds no value that is known.
fn placed<R: std::io::Read + std::io::Seek>(
    cells: &mut XlsxCellReader<'_, R>,
    places: &mut XlsxCellReader<'_, R>,
) -> Result<Placed, XlsxError> {
    let place = places.next_formula()?.map(|cell| cell.get_position());
    let content = match cells.next_cell() {
        Ok(cell) => cell.and_then(|cell| Content::of(cell.get_value())),
        Err(XlsxError::CellError(error))
            if error.len() < 20 && error.starts_with('#') && error.is_ascii() =>
        {
            Some(Content::Error(error))
        }
        Err(error) if is_of_value(&error) => Some(Content::Unreadable),
        Err(error) => return Err(error),
    };
    Ok(place.map(|place| (place, content)))
}

/// Whether it is the value of a cell that is wrong, and not the sheet.
fn is_of_value(error: &XlsxError) -> bool {
    matches!(
        error,
        XlsxError::CellError(_)
            | XlsxError::ParseFloat(_)
            | XlsxError::Unrecognized { .. }
            | XlsxError::CellTAttribute(_)
            | XlsxError::Unexpected(_)
    )
}

/// Gathers cells to rows that are not empty.
fn gather(
    mut next: impl FnMut() -> Result<Placed, XlsxError>,
    mut give: impl FnMut(SheetRow) -> bool,
) -> Result<(), XlsxError> {
    let mut row = SheetRow::default();
    while let Some(((number, column), content)) = next()? {
        if u64::from(number) != row.number {
            let whole = std::mem::take(&mut row);
            if !whole.is_blank() && !give(whole) {
                return Ok(());
            }
            row.number = number.into();
        }
        let position = column as usize;
        // A cell may stand in a place more than once.
        if position >= MAX_COLUMNS || row.cells.len() >= MAX_COLUMNS {
            return Err(XlsxError::ColumnNumberOverflow);
        }
        row.cells.extend(content.map(|content| (position, content)));
    }
    if !row.is_blank() {
        give(row);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
