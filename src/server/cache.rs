//! Answers to requests that have been answered before, word for word.
//!
//! Citizens copy each other, and intake systems send again what they have sent. A key is a digest of the request but for
//! its id, and of the generation of what answers: with a model, a directory or a rule that is replaced, old answers are
//! out of reach. The words count as they were written, not as they are normalised, since evidence quotes them. Of the
//! words only what evidence, risk alarms and masking give back is kept, in memory alone.

use moka::sync::Cache;
use prost::Message;
use prost::bytes::Bytes;
use sha2::{Digest, Sha256};

use super::convert::{self, MAX_REQUEST_BYTES};
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
}

impl AnswerCache {
    /// A cache of at most `bytes` bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |_: &Key, answer: &Bytes| u32::try_from(answer.len() + ENTRY_BYTES).unwrap_or(u32::MAX);
        let answers = Cache::builder().max_capacity(bytes).weigher(weigh).build();
        Self { answers }
    }

    /// The key of a request in a generation; none for one that is too long to be answered, which is not worth a digest.
    pub(super) fn key(request: &ClassifyTextRequest, generation: u64) -> Option<Key> {
        if request.encoded_len() > MAX_REQUEST_BYTES {
            return None;
        }
        let mut digest = Sha256::new_with_prefix(generation.to_le_bytes());
        digest.update(ClassifyTextRequest { request_id: String::new(), ..request.clone() }.encode_to_vec());
        Some(digest.finalize().into())
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

    /// Keeps an answer, if it is a full one.
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
        let cache = AnswerCache::new(1 << 20);
        let first = request("路灯不亮");
        cache.put(AnswerCache::key(&first, 1).unwrap(), &answer("a"));
        let again = ClassifyTextRequest { request_id: "17".to_owned(), ..first.clone() };
        assert_eq!(cache.get(&AnswerCache::key(&again, 1).unwrap(), &again), Some(answer("a")));
    }

    #[test]
    fn another_area_count_title_or_generation_is_another_question() {
        let cache = AnswerCache::new(1 << 20);
        let first = request("路灯不亮");
        cache.put(AnswerCache::key(&first, 1).unwrap(), &answer("a"));
        for other in [
            ClassifyTextRequest { area: "朝阳区".to_owned(), ..first.clone() },
            ClassifyTextRequest { category_count: Some(5), ..first.clone() },
            ClassifyTextRequest { title: "路灯".to_owned(), ..first.clone() },
            request("路燈不亮"),
        ] {
            assert_eq!(cache.get(&AnswerCache::key(&other, 1).unwrap(), &other), None, "{other:?}");
        }
        assert_ne!(AnswerCache::key(&first, 2), AnswerCache::key(&first, 1));
    }

    #[test]
    fn an_incomplete_answer_is_not_kept() {
        let cache = AnswerCache::new(1 << 20);
        let first = request("路灯不亮");
        let degradations = vec!["model_failed".to_owned()];
        let key = AnswerCache::key(&first, 1).unwrap();
        cache.put(key, &Assessment { degradations, ..answer("a") });
        assert_eq!(cache.get(&key, &first), None);
    }

    #[test]
    fn holds_no_more_than_it_may() {
        let cache = AnswerCache::new(10_000);
        for number in 0..1000 {
            let request = request(&number.to_string());
            cache.put(AnswerCache::key(&request, 1).unwrap(), &answer("a"));
        }
        cache.answers.run_pending_tasks();
        assert!((1..=10_000).contains(&cache.answers.weighted_size()));
    }
}
