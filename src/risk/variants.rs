//! Other spellings of a rule's words, such as those that dodge filters: 自沙, tiao楼, 欠新.

use super::definition::Variant;

/// A keyword and all its other spellings. Each spelling changes one word throughout, or every word that it can.
pub(super) fn spellings(keyword: &str, variants: &[Variant]) -> Vec<String> {
    let mut spellings = vec![keyword.to_owned()];
    for Variant { word, forms } in variants {
        for known in 0..spellings.len().min(MAX_SPELLINGS) {
            if spellings[known].contains(word.as_str()) {
                let more: Vec<_> =
                    forms.iter().map(|form| spellings[known].replace(word.as_str(), form)).collect();
                spellings.extend(more);
            }
        }
    }
    spellings.truncate(MAX_SPELLINGS);
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// Most spellings of one keyword; words that multiply beyond are cut off, the plainest first in.
const MAX_SPELLINGS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_every_word_is_spelled() {
        let variant = |word: &str, forms: &[&str]| Variant {
            word: word.to_owned(),
            forms: forms.iter().map(|&form| form.to_owned()).collect(),
        };
        let variants = [variant("想死", &["想4"]), variant("跳楼", &["tiao楼", "跳lou"])];
        let found = spellings("想死就跳楼", &variants);
        assert_eq!(
            found,
            ["想4就tiao楼", "想4就跳lou", "想4就跳楼", "想死就tiao楼", "想死就跳lou", "想死就跳楼"]
        );
        assert_eq!(spellings("停水", &variants), ["停水"]);
    }
}
