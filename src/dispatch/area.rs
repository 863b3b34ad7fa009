//! Where a request is about: the areas of a directory, and the area that a hint or the words name.

use aho_corasick::{AhoCorasick, MatchKind};
use serde::{Deserialize, Serialize};

/// How large an area is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AreaLevel {
    /// The whole city.
    City,
    /// 区, 县.
    District,
    /// 街道, 乡, 镇.
    Street,
    /// 社区, 村.
    Community,
}

/// A place that a unit acts for (属地): a city, a district, a street or township, a community.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Area {
    /// The stable identifier, such as `beijing.chaoyang`.
    pub id: String,
    /// The Chinese name.
    pub name: String,
    /// The English name.
    pub name_en: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// Short words that mean this area where a citizen writes them. Its name and aliases of three characters or more do
    /// anyway; shorter ones often mean something else.
    pub mentions: Vec<String>,
    /// The Chinese name of the unit that acts for the area; none for a whole city, where departments act.
    pub unit: Option<String>,
    /// The id of the area that this one lies in.
    pub parent: Option<String>,
    /// How large it is.
    pub level: AreaLevel,
    /// How many people live there, if the city says so.
    pub population: Option<u64>,
}

impl Area {
    /// Whether the unit of this area is of the grass roots (基层).
    pub fn is_grassroots(&self) -> bool {
        self.level >= AreaLevel::Street
    }
}

/// How the area of a request was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AreaSource {
    /// The caller named it.
    Hint,
    /// The citizen's words name it.
    Text,
}

/// Where a request is about, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// The place of the area in the directory; where several are named, the smallest that holds them all.
    pub area: Option<(usize, AreaSource)>,
    /// The places of the areas that may be meant, where that is not clear; in the order of the directory.
    pub candidates: Vec<usize>,
}

/// Shortest name that means an area wherever a citizen writes it, in characters.
const MIN_MENTION_CHARS: usize = 3;

/// The areas of a directory as a tree, and an automaton for their names.
#[derive(Debug, Clone)]
pub(super) struct AreaIndex {
    parents: Vec<Option<usize>>,
    names: AhoCorasick,
    /// For each name of the automaton, the areas that bear it.
    bearers: Vec<Vec<usize>>,
}

impl AreaIndex {
    /// Builds the index of areas that form a tree. `normalize` reads a name as the words of requests are read.
    ///
    /// # Errors
    /// If there are more names than an automaton can hold.
    pub(super) fn new(areas: &[Area], normalize: impl Fn(&str) -> String) -> Result<Self, String> {
        let place = |id: &String| areas.iter().position(|area| area.id == *id);
        let mut names: Vec<String> = Vec::new();
        let mut bearers: Vec<Vec<usize>> = Vec::new();
        for (area_place, area) in areas.iter().enumerate() {
            let long = std::iter::once(&area.name).chain(&area.aliases);
            let long =
                long.map(|name| normalize(name)).filter(|name| name.chars().count() >= MIN_MENTION_CHARS);
            for name in long.chain(area.mentions.iter().map(|mention| normalize(mention))) {
                let known = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                    names.push(name);
                    bearers.push(Vec::new());
                    names.len() - 1
                });
                if !bearers[known].contains(&area_place) {
                    bearers[known].push(area_place);
                }
            }
        }
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&names);
        Ok(Self {
            parents: areas.iter().map(|area| area.parent.as_ref().and_then(place)).collect(),
            names: automaton.map_err(|error| error.to_string())?,
            bearers,
        })
    }

    /// The area and those around it, from the inside out.
    pub(super) fn around(&self, area: usize) -> impl Iterator<Item = usize> + '_ {
        // No tree is deeper than it has areas; a file that is being checked may hold a circle.
        std::iter::successors(Some(area), |&area| self.parents[area]).take(self.parents.len())
    }

    /// Whether area `inner` is `outer` or lies in it.
    pub(super) fn lies_in(&self, inner: usize, outer: usize) -> bool {
        self.around(inner).any(|area| area == outer)
    }

    /// Places a request: `hinted` are the areas that its caller may mean, `fields` its words.
    ///
    /// What the words name inside the hinted area is more exact than the hint; other places that they name are not where
    /// the request is about. Without a hint the words alone say it.
    pub(super) fn place(&self, hinted: &[usize], fields: &[&str]) -> Placement {
        let mut mentions = self.mentions(fields);
        if hinted.is_empty() {
            return self.resolve(&mentions, AreaSource::Text);
        }
        let hint = self.narrowed(hinted, &mentions);
        for mention in &mut mentions {
            mention.retain(|&area| hint.iter().any(|&hinted| self.lies_in(area, hinted)));
        }
        mentions.retain(|mention| !mention.is_empty());
        let source = if mentions.iter().flatten().any(|area| !hint.contains(area)) {
            AreaSource::Text
        } else {
            AreaSource::Hint
        };
        // A hint that is not clear is made clear by a place inside one of the areas that it may mean.
        let clear: Vec<usize> = hint
            .iter()
            .copied()
            .filter(|&h| mentions.iter().flatten().any(|&area| self.lies_in(area, h)))
            .collect();
        mentions.push(if clear.is_empty() { hint } else { clear });
        self.resolve(&mentions, source)
    }

    /// The areas that the words name, each name with all its bearers.
    fn mentions(&self, fields: &[&str]) -> Vec<Vec<usize>> {
        let mut mentions: Vec<Vec<usize>> = Vec::new();
        for found in fields.iter().flat_map(|field| self.names.find_iter(*field)) {
            let bearers = &self.bearers[found.pattern().as_usize()];
            if !mentions.contains(bearers) {
                mentions.push(bearers.clone());
            }
        }
        mentions
    }

    /// Those of the areas that one name may mean which lie on a line with another place that is named, or all.
    fn narrowed(&self, name: &[usize], others: &[Vec<usize>]) -> Vec<usize> {
        // What holds all that the name may mean, as the whole city does, tells nothing.
        let tells = |&other: &usize| !name.iter().all(|&area| self.lies_in(area, other));
        let others = others.iter().filter(|other| other.len() == 1).map(|other| other[0]);
        let others: Vec<usize> = others.filter(tells).collect();
        let fits = |&&area: &&usize| {
            others
                .iter()
                .any(|&other| other != area && (self.lies_in(area, other) || self.lies_in(other, area)))
        };
        let narrowed: Vec<usize> = name.iter().filter(fits).copied().collect();
        if narrowed.is_empty() { name.to_vec() } else { narrowed }
    }

    fn resolve(&self, mentions: &[Vec<usize>], source: AreaSource) -> Placement {
        let narrowed: Vec<Vec<usize>> = mentions
            .iter()
            .map(
                |mention| {
                    if mention.len() == 1 { mention.clone() } else { self.narrowed(mention, mentions) }
                },
            )
            .collect();
        let named: Vec<usize> = narrowed.iter().flatten().copied().collect();
        // Whoever names a street names its district only to say where the street is.
        let mut innermost: Vec<usize> = named
            .iter()
            .copied()
            .filter(|&area| !named.iter().any(|&other| other != area && self.lies_in(other, area)))
            .collect();
        innermost.sort_unstable();
        innermost.dedup();
        let Some(area) = innermost.iter().copied().reduce(|a, b| self.common(a, b)) else {
            return Placement::default();
        };
        let candidates = if innermost.len() > 1 { innermost } else { Vec::new() };
        Placement { area: Some((area, source)), candidates }
    }

    /// The smallest area that holds both.
    fn common(&self, a: usize, b: usize) -> usize {
        self.around(a).find(|&area| self.lies_in(b, area)).unwrap_or(a)
    }
}
