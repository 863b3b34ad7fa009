//! Answers to requests that have been answered before, word for word.
//!
//! Citizens copy each other, and intake systems send again what they have sent. A key is a digest of all that an answer
//! depends on: the model's revision and the request but for its id. The words count as they were written, not as they
//! are normalised, since the evidence quotes them; neither they nor the digest's input are kept.

use bytes::Bytes;
use moka::sync::Cache;
use prost::Message;
use sha2::{Digest, Sha256};

use super::convert;
use crate::metrics;
use crate::pb::{Assessment, ClassifyTextRequest};

/// What an entry takes beside its answer: the key, and the cache's own bookkeeping.
const ENTRY_BYTES: usize = 160;

/// What an answer depends on.
pub(super) type Key = [u8; 32];

/// Answers by what was asked; clones share them.
#[derive(Debug, Clone)]
pub(super) struct AnswerCache {
    /// Encoded, since that is how small an answer gets and how large it is then known to be.
    answers: Cache<Key, Bytes>,
    revision: String,
}

impl AnswerCache {
    /// A cache of at most `bytes` bytes, for answers of the model of that revision. With 0 bytes it stays empty.
    pub(super) fn new(bytes: u64, revision: &str) -> Self {
        let weigh = |_: &Key, answer: &Bytes| u32::try_from(answer.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let answers = Cache::builder().max_capacity(bytes).weigher(weigh).build();
        Self { answers, revision: revision.to_owned() }
    }

    /// The key of a request.
    pub(super) fn key(&self, request: &ClassifyTextRequest) -> Key {
        let mut digest = Sha256::new_with_prefix(&self.revision);
        // The end of the revision.
        digest.update([0]);
        digest.update(ClassifyTextRequest { request_id: String::new(), ..request.clone() }.encode_to_vec());
        digest.finalize().into()
    }

    /// The answer to a request with that key. None to a request whose id is at fault: it is to be told so.
    pub(super) fn get(&self, key: &Key, request: &ClassifyTextRequest) -> Option<Assessment> {
        convert::check_id(&request.request_id).ok()?;
        let known = self.answers.get(key).and_then(|answer| Assessment::decode(answer).ok());
        if known.is_some() {
            metrics::cache_hit();
        } else {
            metrics::cache_miss();
        }
        known
    }

    /// Keeps a full answer.
    pub(super) fn put(&self, key: Key, answer: &Assessment) {
        if answer.degradations.is_empty() {
            self.answers.insert(key, answer.encode_to_vec().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> ClassifyTextRequest {
        ClassifyTextRequest { text: text.to_owned(), ..ClassifyTextRequest::default() }
    }

    fn answer(model: &str) -> Assessment {
        Assessment { model: model.to_owned(), ..Assessment::default() }
    }

    #[test]
    fn the_same_request_has_the_same_answer_whatever_its_id() {
        let cache = AnswerCache::new(1 << 20, "1");
        let first = request("路灯不亮");
        cache.put(cache.key(&first), &answer("a"));
        let again = ClassifyTextRequest { request_id: "17".to_owned(), ..first.clone() };
        assert_eq!(cache.get(&cache.key(&again), &again), Some(answer("a")));
    }

    #[test]
    fn another_area_count_title_or_model_is_another_question() {
        let cache = AnswerCache::new(1 << 20, "1");
        let first = request("路灯不亮");
        cache.put(cache.key(&first), &answer("a"));
        for other in [
            ClassifyTextRequest { area: "朝阳区".to_owned(), ..first.clone() },
            ClassifyTextRequest { category_count: Some(5), ..first.clone() },
            ClassifyTextRequest { title: "路灯".to_owned(), ..first.clone() },
            request("路燈不亮"),
        ] {
            assert_eq!(cache.get(&cache.key(&other), &other), None, "{other:?}");
        }
        assert_ne!(AnswerCache::new(1 << 20, "2").key(&first), cache.key(&first));
    }

    #[test]
    fn holds_no_more_than_it_may() {
        let cache = AnswerCache::new(10_000, "1");
        for number in 0..1000 {
            let request = request(&number.to_string());
            cache.put(cache.key(&request), &answer("a"));
        }
        cache.answers.run_pending_tasks();
        assert!((1..=10_000).contains(&cache.answers.weighted_size()));
        let none = AnswerCache::new(0, "1");
        none.put(none.key(&request("1")), &answer("a"));
        none.answers.run_pending_tasks();
        assert_eq!(none.answers.entry_count(), 0);
    }

    #[test]
    fn an_answer_that_lacks_something_is_not_kept() {
        let cache = AnswerCache::new(1 << 20, "1");
        let request = request("路灯不亮");
        cache.put(cache.key(&request), &Assessment { degradations: vec!["model".to_owned()], ..answer("a") });
        assert_eq!(cache.get(&cache.key(&request), &request), None);
    }
}
