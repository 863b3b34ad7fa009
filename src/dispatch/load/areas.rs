//! Reads the areas of a directory and checks that they form a tree below the city.

use std::collections::HashMap;

use serde::Deserialize;
use toml::Spanned;

use crate::dispatch::area::{Area, AreaLevel};
use crate::fault::{Checker, LabelIndex, closest};
use crate::request::normalize_words;

#[derive(Deserialize)]
pub(super) struct RawArea {
    pub(super) id: Spanned<String>,
    name: Spanned<String>,
    name_en: Spanned<String>,
    #[serde(default)]
    aliases: Vec<Spanned<String>>,
    #[serde(default)]
    mentions: Vec<Spanned<String>>,
    unit: Option<Spanned<String>>,
    parent: Option<Spanned<String>>,
    level: Option<AreaLevel>,
    population: Option<u64>,
}

pub(super) fn read_areas(checker: &mut Checker<'_>, raw: &[RawArea]) -> Vec<Area> {
    let parents = parents(raw);
    raw.iter()
        .map(|area| {
            let above = std::iter::successors(parents[area.id.get_ref().as_str()], |id| {
                parents.get(id).copied().flatten()
            });
            let level = match above.take(3).count() {
                0 => AreaLevel::City,
                1 => AreaLevel::District,
                2 => AreaLevel::Street,
                _ => AreaLevel::Community,
            };
            read_area(checker, area, level)
        })
        .collect()
}

/// `level` is the one that its depth in the tree suggests.
fn read_area(checker: &mut Checker<'_>, raw: &RawArea, level: AreaLevel) -> Area {
    Area {
        id: checker.path_id(&raw.id),
        name: checker.text("name", &raw.name),
        name_en: checker.text("name_en", &raw.name_en),
        aliases: raw.aliases.iter().map(|alias| checker.text("alias", alias)).collect(),
        mentions: raw.mentions.iter().map(|mention| read_mention(checker, mention)).collect(),
        unit: raw.unit.as_ref().map(|unit| checker.text("unit", unit)),
        parent: raw.parent.as_ref().map(|parent| parent.get_ref().clone()),
        level: raw.level.unwrap_or(level),
        population: raw.population,
    }
}

/// A word that is still there when it is read as the words of requests are.
fn read_mention(checker: &mut Checker<'_>, mention: &Spanned<String>) -> String {
    if normalize_words(mention.get_ref()).is_empty() {
        checker.fault(
            mention.span(),
            "mention holds no visible character and would occur everywhere; remove it",
        );
    }
    mention.get_ref().clone()
}

/// The parent of each area, by id.
fn parents(raw: &[RawArea]) -> HashMap<&str, Option<&str>> {
    raw.iter()
        .map(|area| {
            (area.id.get_ref().as_str(), area.parent.as_ref().map(|parent| parent.get_ref().as_str()))
        })
        .collect()
}

/// Checks that the areas form a tree below the city.
pub(super) fn check_tree(checker: &mut Checker<'_>, city: &Spanned<String>, raw: &[RawArea]) {
    let mut ids = LabelIndex::default();
    for area in raw {
        ids.add(checker, &area.id, []);
    }
    let parents = parents(raw);
    let (span, city) = (city.span(), city.get_ref().as_str());
    match parents.get(city) {
        None => {
            let hint = closest(city, parents.keys().copied());
            checker.fault(span, format!("city `{city}` is no area{hint}"));
        }
        Some(Some(parent)) => {
            checker.fault(span, format!("city `{city}` lies in `{parent}`; remove its `parent`"));
        }
        Some(None) => {}
    }
    for area in raw {
        let id = area.id.get_ref().as_str();
        let Some(parent) = &area.parent else {
            if id != city {
                let message =
                    format!("area `{id}` lies nowhere; give it a `parent`, since it is not the city");
                checker.fault(area.id.span(), message);
            }
            continue;
        };
        if !parents.contains_key(parent.get_ref().as_str()) {
            let hint = closest(parent.get_ref(), parents.keys().copied());
            checker
                .fault(parent.span(), format!("unknown parent `{}` of area `{id}`{hint}", parent.get_ref()));
        }
        let above =
            std::iter::successors(Some(parent.get_ref().as_str()), |id| parents.get(id).copied().flatten());
        // No tree is deeper than it has areas; areas that only lead into a cycle are not themselves at fault.
        if above.take(raw.len()).any(|ancestor| ancestor == id) {
            let message = format!(
                "area `{id}` lies in itself, through `{}`; give one another `parent`",
                parent.get_ref()
            );
            checker.fault(parent.span(), message);
        }
    }
}
