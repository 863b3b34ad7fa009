//! The logits are those of PyTorch's `transformers` on the same weights, tokenizer included.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{head, tiny_bert, write_bundle};
use jiesu::classifier::{ModelConfig, Pooling, SequenceClassifier};
use jiesu::encoder::Precision;
use jiesu::registry::ModelFiles;
use jiesu::request::RequestText;

/* The script behind the numbers (torch 2.15, transformers 5.23):

import math, torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast
VOCAB = "[PAD] [UNK] [CLS] [SEP] [MASK] 路 灯 不 亮 小 区 物 业 乱 收 费 公 交 , 。 a ##b".split()
config = BertConfig(vocab_size=len(VOCAB), hidden_size=16, num_hidden_layers=3, num_attention_heads=4,
                    intermediate_size=40, max_position_embeddings=32, num_labels=3, pad_token_id=0)
model = BertForSequenceClassification(config).eval()
with torch.no_grad():
    for name, p in model.named_parameters():
        seed = sum(name.encode())
        base = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        p.copy_(torch.tensor([base + 0.3 * math.sin(seed + 0.7 * i) for i in range(p.numel())]).float().view_as(p))
tok = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(VOCAB)}, do_lower_case=True)
pair = tok(["路灯不亮", "公交"], ["小区物业乱收费。", "ab,路灯不亮,灯不亮"], padding=True, return_tensors="pt")
single = tok(["小区物业乱收费, 公交不亮"], return_tensors="pt")
with torch.no_grad():
    for row in list(model(**pair).logits) + list(model(**single).logits):
        print([round(x, 7) for x in row.tolist()])
*/
const TEXTS: [(&str, &str); 3] =
    [("路灯不亮", "小区物业乱收费。"), ("公交", "ab,路灯不亮,灯不亮"), ("", "小区物业乱收费, 公交不亮")];
const LOGITS: [[f32; 3]; 3] = [
    [0.060_773_9, -0.283_400_2, 0.102_697_4],
    [-0.008_211_7, -0.313_326_5, 0.159_532_7],
    [0.030_831_6, -0.298_761, 0.126_403_1],
];

fn classifier() -> SequenceClassifier {
    let folder = tempfile::tempdir().unwrap();
    let config = ModelConfig {
        bert: tiny_bert(),
        pooling: Pooling::ClsPooler,
        max_tokens: 32,
        heads: vec![head("category", ["a", "b", "c"])],
    };
    write_bundle(folder.path(), &config);
    SequenceClassifier::load_in(&ModelFiles::folder(folder.path()).unwrap(), Precision::F32).unwrap()
}

#[test]
fn logits_equal_those_of_transformers() {
    let texts = TEXTS.map(|(title, text)| RequestText::new(title, text).unwrap());
    let answers = classifier().classify(&texts).unwrap();
    for (answer, expected) in answers.iter().zip(LOGITS) {
        for (logit, expected) in answer.logits("category").unwrap().iter().zip(expected) {
            assert!((logit - expected).abs() < 1e-4, "{logit} is not {expected}");
        }
    }
}

#[test]
fn a_text_alone_and_in_a_batch_has_the_same_logits() {
    let classifier = classifier();
    let texts: Vec<RequestText> = (1..60)
        .map(|length| RequestText::new("", &"小区物业乱收费,公交不亮。".repeat(length % 9 + 1)).unwrap())
        .collect();
    let together = classifier.classify(&texts).unwrap();
    for (text, together) in texts.iter().zip(&together) {
        let alone = &classifier.classify(std::slice::from_ref(text)).unwrap()[0];
        let pairs = alone.logits("category").unwrap().iter().zip(together.logits("category").unwrap());
        assert!(pairs.into_iter().all(|(alone, together)| (alone - together).abs() < 1e-5));
    }
}
