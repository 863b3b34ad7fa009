//! Other spellings of a rule's words, such as those that dodge filters: 自沙, tiao楼, 欠新.

use super::definition::Variant;

/// A keyword and all its other spellings. Each spelling changes one word throughout, or every word that it can.
pub(super) fn spellings(keyword: &str, variants: &[Variant]) -> Vec<String> {
    let mut spellings = vec![keyword.to_owned()];
    for Variant { word, forms } in variants {
        for known in 0..spellings.len() {
            let room = MAX_SPELLINGS - spellings.len();
            if spellings[known].contains(word.as_str()) {
                let forms = forms.iter().take(room);
                let more: Vec<_> = forms.map(|form| spellings[known].replace(word.as_str(), form)).collect();
                spellings.extend(more);
            }
        }
    }
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

    #[test]
    fn spellings_that_multiply_are_cut_off() {
        let forms: Vec<String> = (0..50).map(|number| format!("停{number}")).collect();
        let variants = [
            Variant { word: "停".to_owned(), forms: forms.clone() },
            Variant { word: "水".to_owned(), forms },
        ];
        let found = spellings("停水", &variants);
        assert_eq!(found.len(), MAX_SPELLINGS);
        assert!(found.contains(&"停水".to_owned()) && found.contains(&"停49水".to_owned()));
    }
}
