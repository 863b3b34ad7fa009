//! The part of an address that singles out a dwelling: `2单元501室`, `5栋1202`, `3-2-501室`.
//!
//! A street, a compound or a building holds many dwellings and says where a matter is: it stays. So do the rooms of
//! offices, hospitals and shops.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::canonical::Canonical;

/// One level of an address with its number.
static LEVEL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        "第?(?:[A-Za-z]{0,2}[0-9]{1,4}[A-Za-z]?|[A-Za-z]|[东西南北甲乙丙丁]|[一二三四五六七八九十零〇幺百]{1,5}) ?\
         (号院|弄|号楼|号栋|号幢|号房|号|#楼|#栋|#|栋楼|栋|幢|座|单元|门|楼|层|室|房|户)",
    )
    .expect("a pattern known good")
});

/// A room's number without its word, as in `5栋1202`.
static DOOR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("^ ?-? ?(?:[A-Za-z]?[0-9]{3,4}|[一二三四五六七八九零〇幺]{3,4})")
        .expect("a pattern known good")
});

/// `3-2-501`: building, unit, room; `5-1202室`.
static DASHED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[A-Za-z]?[0-9]{1,3} ?- ?(?P<unit>[0-9]{1,2} ?- ?)?(?P<door>[0-9]{3,4})(?P<word> ?(?:号房|室|房|户))?")
        .expect("a pattern known good")
});

/// Houses whose rooms nobody lives in.
const OFFICES: &str = "局 厅 法院 中院 检察院 仲裁院 医院 政府 大厦 办公楼 办公室 中心 委 所 银行 学校 大学 中学 小学 学院 教学楼 门诊 门诊楼 住院部 公司 酒店 \
                       宾馆 商场 商城 市场 广场 写字楼 综合楼 大楼 科";

/// What makes a number before it a count, a measure or a shop instead of a room.
const NOT_A_DOOR: &str =
    "元 万 平 ㎡ 米 户 人 套 家 个 年 名 余 多 台 辆 栋 次 张 座 间 层 亩 度 月 天 % 块 商 门面 店 铺 楼";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// A court or lane: `号院`, `弄`.
    Court,
    /// `号`, which numbers houses and rooms.
    Number,
    Building,
    Unit,
    Floor,
    Room,
}

/// A level where it stands, in bytes.
#[derive(Debug, Clone)]
struct Step {
    level: Level,
    bytes: Range<usize>,
}

/// Most levels that lead to a dwelling.
const MOST_LEVELS: usize = 8;

/// Every exact address found, in canonical characters.
pub(super) fn find(canonical: &Canonical) -> Vec<Range<usize>> {
    let text = canonical.text();
    let dashed: Vec<Range<usize>> = dashed(text).collect();
    // The last part of `3-2-501室` is no room of its own.
    let in_dashed = |at: usize| {
        let later = dashed.partition_point(|dashed| dashed.end <= at);
        dashed.get(later).is_some_and(|dashed| dashed.contains(&at))
    };
    let steps: Vec<Step> = steps(text).filter(|step| !in_dashed(step.bytes.start)).collect();
    let mut chains: Vec<Vec<Step>> = Vec::new();
    for step in &steps {
        match chains.last_mut() {
            Some(chain)
                if chain.len() < MOST_LEVELS
                    && chain.last().is_some_and(|last| follows(text, last, step)) =>
            {
                chain.push(step.clone());
            }
            _ => chains.push(vec![step.clone()]),
        }
    }
    let heads = steps.iter().filter(|step| step.level != Level::Room).map(|step| step.bytes.start).collect();
    let street = Street { text, heads };
    let dwellings = chains.iter().filter_map(|chain| street.dwelling(chain));
    dwellings.chain(dashed.iter().cloned()).map(|bytes| canonical.chars_at(bytes)).collect()
}

/// A text and where addresses may begin in it.
struct Street<'a> {
    text: &'a str,
    heads: Vec<usize>,
}

fn steps(text: &str) -> impl Iterator<Item = Step> {
    LEVEL.captures_iter(text).filter_map(|captures| {
        let (all, word) = (captures.get(0)?, captures.get(1)?);
        let level = match word.as_str() {
            "号院" | "弄" => Level::Court,
            "号" => Level::Number,
            "单元" | "门" => Level::Unit,
            "楼" | "层" => Level::Floor,
            "室" | "房" | "户" | "号房" => Level::Room,
            _ => Level::Building,
        };
        let cut = text[..all.start()].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.');
        let thing = word.as_str() == "门"
            && text[all.end()..].starts_with(['面', '店', '诊', '口', '市', '窗', '禁']);
        (!cut && !thing).then(|| Step { level, bytes: all.range() })
    })
}

/// Whether `next` goes on where `last` ends, one level down.
fn follows(text: &str, last: &Step, next: &Step) -> bool {
    matches!(&text[last.bytes.end..next.bytes.start], "" | " " | "-")
        && match next.level {
            Level::Court => last.level == Level::Number,
            Level::Building => matches!(last.level, Level::Court | Level::Number),
            Level::Unit => matches!(last.level, Level::Court | Level::Number | Level::Building),
            Level::Floor => matches!(last.level, Level::Number | Level::Building | Level::Unit),
            Level::Number | Level::Room => last.level != Level::Room,
        }
}

impl Street<'_> {
    /// The bytes of a chain of levels, if it leads to a dwelling.
    fn dwelling(&self, chain: &[Step]) -> Option<Range<usize>> {
        // In `湖畔一号3栋` the first level is the compound's name.
        let named = chain.first().is_some_and(|first| {
            first.level == Level::Number && self.text[first.bytes.clone()].starts_with(is_chinese_number)
        });
        let chain = &chain[usize::from(named)..];
        let start = chain.first()?.bytes.start;
        if is_office(&self.text[..start]) {
            return None;
        }
        let end = (1..=chain.len()).rev().find_map(|len| self.exact_end(&chain[..len]))?;
        Some(start..end)
    }

    /// Where an address ends that goes just as far as `chain`, if that is far enough.
    fn exact_end(&self, chain: &[Step]) -> Option<usize> {
        let (last, above) = chain.split_last()?;
        let end = last.bytes.end;
        let number = &self.text[last.bytes.clone()];
        let stairs = |step: &Step| matches!(step.level, Level::Building | Level::Unit);
        let open = !matches!(last.level, Level::Number | Level::Room);
        if open
            && chain.iter().any(stairs)
            && let Some(door) = self.door(end)
        {
            return Some(door);
        }
        let house =
            above.iter().any(|step| stairs(step) || matches!(step.level, Level::Court | Level::Floor));
        let numbered = above.iter().any(|step| step.level == Level::Number);
        let exact = match last.level {
            Level::Room if above.is_empty() => is_lone_room(&self.text[..last.bytes.start], number),
            Level::Room => (house || numbered && number.ends_with('室')) && self.is_room(number, end),
            Level::Number => house && self.is_door(number, end),
            Level::Unit => house || numbered,
            // A floor below a building is still many doors, one below a flight of stairs two or three.
            Level::Floor => above.iter().any(|step| step.level == Level::Unit),
            Level::Court | Level::Building => false,
        };
        exact.then_some(end)
    }

    /// Where a room's number ends that stands at `at` without its word.
    fn door(&self, at: usize) -> Option<usize> {
        let door = DOOR.find(&self.text[at..])?;
        let end = at + door.end();
        let goes_on = !self.begins_another(end)
            && self.text[end..]
                .starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-') || is_chinese_number(c));
        (is_plausible_door(door.as_str()) && !goes_on && self.is_no_count(end)).then_some(end)
    }

    /// Whether an address begins at `at`: what ends there does not go on.
    fn begins_another(&self, at: usize) -> bool {
        self.heads.binary_search(&at).is_ok()
    }

    /// Whether the number that ends at `at` does not count what follows.
    fn is_no_count(&self, at: usize) -> bool {
        let rest = self.text[at..].trim_start_matches(['号', ' ']);
        is_no_count(rest) || self.begins_another(self.text.len() - rest.len())
    }

    /// `203号` below a building.
    fn is_door(&self, number: &str, end: usize) -> bool {
        number.chars().filter(|c| c.is_ascii_digit() || is_chinese_number(*c)).count() >= 3
            && self.is_no_count(end)
            && !self.text[end..].starts_with(['楼', '线', '文'])
    }

    /// `203室` below a building; a `户` may be a count.
    fn is_room(&self, room: &str, end: usize) -> bool {
        let after = &self.text[end..];
        let digits = room.chars().filter(char::is_ascii_digit).count();
        match room.chars().last() {
            Some('户') => {
                digits >= 3
                    && is_plausible_door(room)
                    && !after.starts_with(['型', '人', '居', '业', '村', '群', '家', '共', '均', '都'])
            }
            Some('房') => digits >= 2 || room.chars().count() > 3,
            _ => digits >= 3 || self.begins_another(end) || !after.starts_with(['一', '二', '两', '1', '2']),
        }
    }
}

fn is_chinese_number(c: char) -> bool {
    "一二三四五六七八九十零〇幺百".contains(c)
}

/// Whether a number names a floor and a room on it: `1202`, but not `2017` before `年` or `150` of a count.
fn is_plausible_door(door: &str) -> bool {
    let digits: Vec<u32> = door.chars().filter_map(|c| c.to_digit(10)).collect();
    let [.., tens, ones] = digits[..] else { return true };
    (1..=30).contains(&(tens * 10 + ones))
}

fn is_no_count(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_ascii_alphabetic())
        && !NOT_A_DOOR.split(' ').any(|unit| rest.starts_with(unit))
}

/// `501室` with nothing above it, where no office is near.
fn is_lone_room(before: &str, room: &str) -> bool {
    let digits = room.chars().filter(|c| c.is_ascii_digit() || is_chinese_number(*c)).count();
    let near = before.char_indices().rev().nth(9).map_or(before, |(at, _)| &before[at..]);
    room.ends_with('室') && digits >= 3 && !OFFICES.split(' ').any(|office| near.contains(office))
}

fn is_office(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '(', '"', '“', '”', ',', '的']);
    OFFICES.split(' ').any(|office| before.ends_with(office))
}

/// Addresses such as `3-2-501`: with the word for a room, or right after a place.
fn dashed(text: &str) -> impl Iterator<Item = Range<usize>> {
    DASHED.captures_iter(text).filter_map(|captures| {
        let (all, door) = (captures.get(0)?, captures.name("door")?);
        let (before, after) = (&text[..all.start()], &text[all.end()..]);
        let cut = before.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/'))
            || after
                .starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/' | ':' | '*'));
        let houses = all.as_str().chars().take_while(|&c| c != '-').filter(char::is_ascii_digit).count();
        let placed = match captures.name("unit") {
            Some(_) => {
                before.ends_with(|c| "区苑园城庭府湾居里村院座期路街巷弄号家住栋幢楼郡邸#".contains(c))
            }
            None => houses < 3 && (before.ends_with(['栋', '幢', '座', '#']) || before.ends_with("号楼")),
        } && is_no_count(after.trim_start_matches(['号', ' ']));
        let exact = captures.name("word").is_some() && !after.starts_with('型') || placed;
        (!cut && exact && is_plausible_door(door.as_str()) && !is_office(before)).then(|| all.range())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        let canonical = Canonical::new(text);
        find(&canonical).into_iter().map(|chars| canonical.chars()[chars].iter().collect()).collect()
    }

    #[test]
    fn takes_the_levels_that_lead_to_a_door() {
        assert_eq!(addresses("幸福路12号院3号楼2单元501室"), ["12号院3号楼2单元501室"]);
        assert_eq!(addresses("和顺小区5栋1202的住户"), ["5栋1202"]);
        assert_eq!(addresses("和顺小区三栋二单元五零一"), ["三栋二单元五零一"]);
        assert_eq!(addresses("长青街25号501室、88弄3号402室"), ["25号501室", "88弄3号402室"]);
        assert_eq!(addresses("住3-2-501室，和顺小区3-2-502"), ["3-2-501室", "3-2-502"]);
        assert_eq!(addresses("楼上1202室漏水"), ["1202室"]);
    }

    #[test]
    fn an_address_ends_where_another_begins() {
        assert_eq!(addresses("5栋一零一5栋一零二"), ["5栋一零一", "5栋一零二"]);
        assert_eq!(addresses("1栋1室1栋2室"), ["1栋1室", "1栋2室"]);
        assert_eq!(addresses("A座二零三号B座二零四号"), ["A座二零三号B座二零四号"]);
        assert_eq!(addresses("3栋一室两厅"), [""; 0]);
    }

    #[test]
    fn leaves_streets_buildings_and_floors() {
        assert_eq!(addresses("幸福路12号，3号楼，5栋2楼，2单元，三楼"), [""; 0]);
    }

    #[test]
    fn leaves_counts_offices_and_shops() {
        assert_eq!(addresses("3栋150户，5栋2017年交房，两室一厅，6栋120平米"), [""; 0]);
        assert_eq!(addresses("法院3号楼502室，区政府办公楼317室"), [""; 0]);
        assert_eq!(addresses("5栋105号商铺，1-3-217号商铺，2017-3-18"), [""; 0]);
    }
}
