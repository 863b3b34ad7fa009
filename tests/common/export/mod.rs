//! Exports of a hotline's system that nobody recorded: calls put together from invented sentences, as the files such
//! systems write, with some rows broken in known ways.
//!
//! A row depends on the seed and its position alone, so a file of any size is written without holding its rows.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _, index};
use rand_chacha::ChaCha8Rng;

mod sentences;
mod write;

use sentences::{ADDITIONS, CLOSINGS, DISTRICTS, MARKS, OLD_LABELS, SATISFACTION, TOPICS};

/// The columns of every export, in their order.
pub(crate) const COLUMNS: [&str; 8] =
    ["工单编号", "来电时间", "标题", "主要内容", "区", "问题分类", "承办单位", "是否满意"];
/// How many rows are broken in each way.
pub(crate) const BROKEN_PER_KIND: usize = 5;

const SHORTEST: usize = 15;
const LONGEST: usize = 400;
/// How many rows say what an earlier one said, word for word.
const DUPLICATES: f64 = 0.03;
/// The calls are spread over these months, with their days: March 2024 to April 2025.
const MONTHS: [(u64, u64, u64); 14] = [
    (2024, 3, 31),
    (2024, 4, 30),
    (2024, 5, 31),
    (2024, 6, 30),
    (2024, 7, 31),
    (2024, 8, 31),
    (2024, 9, 30),
    (2024, 10, 31),
    (2024, 11, 30),
    (2024, 12, 31),
    (2025, 1, 31),
    (2025, 2, 28),
    (2025, 3, 31),
    (2025, 4, 30),
];
const SECONDS: u64 = 426 * 24 * 60 * 60;
/// Keeps the random numbers of a row's words apart from those of its other columns.
const OTHER_COLUMNS: u64 = 1 << 63;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// CSV in GB18030, lines end in CR LF.
    CsvGb18030,
    /// CSV in UTF-8 after a byte-order mark, lines end in CR LF.
    CsvUtf8Bom,
    /// A workbook; the rows are on the second of three sheets.
    Xlsx,
    /// One JSON object a line.
    JsonLines,
    /// Parquet, all columns text, a thousand rows a group.
    Parquet,
}

impl Format {
    /// All there are.
    pub(crate) const ALL: [Self; 5] =
        [Self::CsvGb18030, Self::CsvUtf8Bom, Self::Xlsx, Self::JsonLines, Self::Parquet];

    /// What a file's name ends in.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::CsvGb18030 | Self::CsvUtf8Bom => "csv",
            Self::Xlsx => "xlsx",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// Ways in which a row is broken. The last five are named after CSV; the other formats break the row in their own way:
///
/// | kind          | JSON lines    | xlsx                    | Parquet                         |
/// |---------------|---------------|-------------------------|---------------------------------|
/// | `FewFields`   | the line ends early | nothing after two cells | a byte-order mark as text |
/// | `ManyFields`  | a list of values | `#N/A` as text       | control characters as text      |
/// | `Undecodable` | a number as text | `#VALUE!` as text    | a text that NFKC makes too long |
/// | `OpenQuote`   | a list as text | `#REF!` as text        | variation selectors as text     |
/// | `Nul`         | NUL in the line | a text that NFKC makes too long | a title that NFKC makes too long |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A text of no character, and no title. In CSV it is `""`.
    EmptyText,
    /// Nothing but spaces or zero-width characters, and no title.
    InvisibleText,
    /// A text of more than 10,000 characters.
    LongText,
    /// A title of more than 500 characters.
    LongTitle,
    /// No text and no title: null, no such key, an empty cell.
    MissingText,
    /// The line has fewer fields than the header.
    FewFields,
    /// The line has more fields than the header.
    ManyFields,
    /// Bytes in the text that mean nothing in the file's encoding.
    Undecodable,
    /// A quote opens before the text and never closes.
    OpenQuote,
    /// A NUL inside the text.
    Nul,
}

impl Kind {
    /// All there are.
    pub(crate) const ALL: [Self; 10] = [
        Self::EmptyText,
        Self::InvisibleText,
        Self::LongText,
        Self::LongTitle,
        Self::MissingText,
        Self::FewFields,
        Self::ManyFields,
        Self::Undecodable,
        Self::OpenQuote,
        Self::Nul,
    ];
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) time: String,
    /// Empty for about half of the rows.
    pub(crate) title: String,
    /// `None` in some broken rows only.
    pub(crate) text: Option<String>,
    pub(crate) district: &'static str,
    /// What an older system called it: mostly a category's Chinese name.
    pub(crate) category: &'static str,
    pub(crate) unit: String,
    pub(crate) satisfaction: &'static str,
}

impl Record {
    /// What the columns hold, in the order of [`COLUMNS`].
    pub(crate) fn fields(&self) -> [Option<&str>; 8] {
        [
            Some(&self.id),
            Some(&self.time),
            Some(&self.title),
            self.text.as_deref(),
            Some(self.district),
            Some(self.category),
            Some(&self.unit),
            Some(self.satisfaction),
        ]
    }
}

/// A broken row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Its position among the rows, from 0.
    pub(crate) index: usize,
    pub(crate) kind: Kind,
    /// Which of its kind it is, from 0; no two of a kind look alike where there are several ways.
    variant: usize,
}

/// A reject that must be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExpectedReject {
    /// Where: the line that the row starts on, the row of the sheet, or the row's number in Parquet, each from 1.
    pub(crate) line: u64,
    /// The row's position among the rows, from 0.
    pub(crate) index: usize,
    pub(crate) kind: Kind,
}

/// An export.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    rows: usize,
    seed: u64,
    broken: Vec<Broken>,
}

impl Export {
    /// An export of `rows` rows, fifty of them broken.
    pub(crate) fn new(rows: usize, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(!seed);
        let mut kinds: Vec<_> = Kind::ALL
            .into_iter()
            .flat_map(|kind| (0..BROKEN_PER_KIND).map(move |variant| (kind, variant)))
            .collect();
        kinds.shuffle(&mut random);
        let indices = index::sample(&mut random, rows, kinds.len());
        let mut broken: Vec<_> = indices
            .into_iter()
            .zip(kinds)
            .map(|(index, (kind, variant))| Broken { index, kind, variant })
            .collect();
        broken.sort_by_key(|broken| broken.index);
        Self { rows, seed, broken }
    }

    /// How many rows there are, broken ones too.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The broken rows, in their order.
    pub(crate) fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// The rows that are to be read, each with its position among all rows.
    pub(crate) fn good(&self) -> impl Iterator<Item = (usize, Record)> {
        self.records().filter(|(_, _, broken)| broken.is_none()).map(|(index, record, _)| (index, record))
    }

    /// Writes the rows into a new file; says what must be rejected, in the file's order.
    pub(crate) fn write(&self, format: Format, path: &Path) -> Vec<ExpectedReject> {
        write::write(self, format, path)
    }

    /// All rows; a broken one is still whole.
    fn records(&self) -> impl Iterator<Item = (usize, Record, Option<Broken>)> {
        (0..self.rows).map(|index| {
            let broken = self.broken.binary_search_by_key(&index, |broken| broken.index);
            (index, self.record(index), broken.ok().map(|place| self.broken[place]))
        })
    }

    fn record(&self, index: usize) -> Record {
        // A row says what it has to say, or what an earlier one said.
        let mut source = index;
        let mut random = self.random(source as u64);
        while random.random_bool(DUPLICATES) && source > 0 {
            source = random.random_range(0..source);
            random = self.random(source as u64);
        }
        let topic = TOPICS.choose(&mut random).unwrap();
        let title = match random.random_range(0..4) {
            0 => format!("关于{}的问题", topic.subject),
            1 => fill(&mut random, &format!("{{小区}}{}", topic.subject)),
            _ => String::new(),
        };
        let text = Some(text(&mut random, &topic.sentences));

        let mut random = self.random(index as u64 | OTHER_COLUMNS);
        let district = DISTRICTS.choose(&mut random).copied().unwrap();
        let second = (index as u64 * SECONDS + random.random_range(0..SECONDS)) / self.rows as u64;
        let (date, clock) = date_and_clock(second);
        let serial = index % 100_000;
        let minute: String = format!("{date}{clock}").chars().filter(char::is_ascii_digit).collect();
        let digits = format!("{}{serial:05}", &minute[2..12]);
        let id = match random.random_range(0..10) {
            0 | 1 => format!("00{digits}"),
            // Too large for 64 bits.
            2 => format!("{digits}{:05}", random.random_range(0..100_000)),
            _ => format!("{digits}-01"),
        };
        let category = match random.random_range(0..20) {
            0 => OLD_LABELS.choose(&mut random).copied().unwrap(),
            1 | 2 => TOPICS.choose(&mut random).unwrap().name,
            _ => topic.name,
        };
        let satisfaction = SATISFACTION.choose(&mut random).copied().unwrap();
        let unit = format!("{district}{}", topic.unit);
        Record { id, time: format!("{date} {clock}"), title, text, district, category, unit, satisfaction }
    }

    fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        random
    }
}

/// A citizen's words, short ones more often than long ones.
fn text(random: &mut ChaCha8Rng, sentences: &[&str]) -> String {
    let longest = random.random_range(SHORTEST..=LONGEST);
    let chars = random.random_range(SHORTEST..=longest);
    let first = sentences.choose(random).unwrap();
    let mut text = fill(random, first);
    while text.chars().count() < chars {
        text += MARKS.choose(random).unwrap();
        let more = if random.random_bool(0.3) { sentences } else { &ADDITIONS };
        let next = more.choose(random).unwrap();
        text += &fill(random, next);
    }
    text += CLOSINGS.choose(random).unwrap();
    let cut: String = text.chars().take(LONGEST).collect();
    cut.trim_end().to_owned()
}

/// A sentence with its `{slots}` filled.
fn fill(random: &mut ChaCha8Rng, sentence: &str) -> String {
    let mut parts = sentence.split(['{', '}']);
    let mut filled = parts.next().unwrap().to_owned();
    while let (Some(slot), Some(rest)) = (parts.next(), parts.next()) {
        match sentences::fillers(slot) {
            Some(words) => filled += words.choose(random).unwrap(),
            None if slot == "钱" => filled += &amount(random),
            None => filled += &random.random_range(2..90).to_string(),
        }
        filled += rest;
    }
    filled
}

fn amount(random: &mut ChaCha8Rng) -> String {
    match random.random_range(0..3) {
        0 => format!("{},{:03}元", random.random_range(1..100), random.random_range(0..1_000)),
        1 => format!("{}.{}万元", random.random_range(1..60), random.random_range(1..10)),
        _ => format!("{}块", random.random_range(20..5_000)),
    }
}

/// `2025-03-31` and `14:42:06`, so many seconds after the first month began.
fn date_and_clock(second: u64) -> (String, String) {
    let mut day = second / 86_400;
    let (year, month, _) = MONTHS
        .into_iter()
        .find(|&(_, _, days)| {
            let here = day < days;
            day -= if here { 0 } else { days };
            here
        })
        .unwrap();
    let clock = format!("{:02}:{:02}:{:02}", second / 3_600 % 24, second / 60 % 60, second % 60);
    (format!("{year}-{month:02}-{:02}", day + 1), clock)
}
