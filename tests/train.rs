//! Training from end to end with a tiny encoder and invented sentences.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use jiesu::classifier::{Classification, Pooling, SequenceClassifier, top};
use jiesu::encoder::{BertConfig, Precision};
use jiesu::label::LabelSet;
use jiesu::registry::ModelFiles;
use jiesu::request::RequestText;
use jiesu::train::{
    AuxiliaryData, Crosswalk, CrosswalkData, HeadColumn, Outcome, Start, TrainReport, TrainSettings, train,
};

/// Sentences, what they are about, and what is at risk.
const SENTENCES: [(&str, &str, &[&str]); 12] = [
    ("小区电梯坏了没人修", "housing", &["hazard"]),
    ("物业乱收停车费", "housing", &[]),
    ("楼上漏水物业不管", "housing", &[]),
    ("业委会账目不公开", "housing", &[]),
    ("公交车总是晚点", "transport", &[]),
    ("地铁站口没有扶梯", "transport", &[]),
    ("路口红绿灯坏了很危险", "transport", &["hazard"]),
    ("公交线路应该延长", "transport", &[]),
    ("工地半夜施工太吵", "environment", &[]),
    ("河水发黑发臭", "environment", &[]),
    ("工厂排放浓烟很危险", "environment", &["hazard"]),
    ("烧烤摊油烟扰民", "environment", &[]),
];

const TRAIN_ROWS: usize = 60;

struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut pieces = vec!["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        let mut characters: Vec<char> = SENTENCES.iter().flat_map(|(text, ..)| text.chars()).collect();
        characters.sort_unstable();
        characters.dedup();
        pieces.extend(characters.into_iter().map(String::from));
        fs::write(folder.path().join("vocab.txt"), pieces.join("\n")).unwrap();
        let workshop = Self { folder };
        workshop.write_rows("train.jsonl", TRAIN_ROWS, |index| format!("t{index}"));
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Rows of the sentences in turn, each with a number that makes it differ.
    fn write_rows(&self, name: &str, count: usize, id: impl Fn(usize) -> String) {
        let rows: Vec<String> = (0..count)
            .map(|index| {
                let (text, category, risks) = SENTENCES[index % SENTENCES.len()];
                let text = format!("{text}{}", "。".repeat(1 + index / SENTENCES.len()));
                serde_json::json!({ "id": id(index), "text": text, "category": category, "risks": risks })
                    .to_string()
            })
            .collect();
        fs::write(self.path(name), rows.join("\n")).unwrap();
    }

    fn settings(&self, output: &str) -> TrainSettings {
        let shape = BertConfig { max_position_embeddings: 64, ..BertConfig::new(0, 2, 32, 4, 64) };
        let start = Start::Fresh { vocabulary: self.path("vocab.txt"), vectors: None, shape };
        let heads = ["category", "risks"].map(|name| HeadColumn::new(name, name));
        let mut settings =
            TrainSettings::new(vec![self.path("train.jsonl")], heads.into(), start, self.path(output));
        settings.dev_share = 0.2;
        settings.max_tokens = 32;
        settings.batch_size = 8;
        settings.epochs = Some(4);
        settings.patience = 4;
        settings.optimizer.learning_rate = 3e-3;
        settings.optimizer.head_learning_rate = 3e-3;
        settings
    }
}

fn finish(settings: &TrainSettings) -> TrainReport {
    match train(settings).unwrap() {
        Outcome::Finished(report) => report,
        Outcome::Paused { step, .. } => panic!("paused at step {step}"),
    }
}

fn refusal(settings: &TrainSettings) -> String {
    train(settings).unwrap_err().to_string()
}

fn weights(folder: &Path) -> [Vec<u8>; 2] {
    ["model.safetensors", "ngrams.safetensors"].map(|file| fs::read(folder.join(file)).unwrap())
}

/// How many of the sentences a bundle gives their category.
fn right_categories(bundle: PathBuf) -> usize {
    let model = SequenceClassifier::load_in(&ModelFiles::folder(bundle).unwrap(), Precision::F32).unwrap();
    let texts: Vec<RequestText> =
        SENTENCES.iter().map(|(text, ..)| RequestText::new("", text).unwrap()).collect();
    let answers = model.classify(&texts).unwrap();
    let labels = &model.heads()[0].labels;
    let is_right = |(sentence, answer): &(&(_, &str, _), &Classification)| {
        labels.name(top(answer.logits("category").unwrap())) == sentence.1
    };
    SENTENCES.iter().zip(&answers).filter(is_right).count()
}

#[test]
fn learns_its_sentences_and_the_bundle_answers_the_same() {
    for pooling in [Pooling::Mean, Pooling::ClsPooler] {
        let workshop = Workshop::new();
        let mut settings = workshop.settings("bundle");
        settings.pooling = pooling;
        settings.epochs = Some(25);
        settings.patience = 25;
        let report = finish(&settings);
        let losses: Vec<f64> = report.history.iter().map(|epoch| epoch.loss).collect();
        // The n-grams bring much of it down before the first epoch, and label smoothing keeps it above 0.
        assert!(losses[losses.len() - 1] < 0.6 * losses[0], "{losses:?}");
        assert!(right_categories(workshop.path("bundle")) >= 11, "{pooling:?}");
    }
}

#[test]
fn the_encoder_learns_without_n_grams_and_n_grams_without_the_encoder() {
    let workshop = Workshop::new();
    let mut settings = workshop.settings("encoder");
    settings.epochs = Some(25);
    settings.patience = 25;
    settings.ngrams = 0;
    finish(&settings);
    assert!(!workshop.path("encoder").join("ngrams.safetensors").exists());
    assert!(right_categories(workshop.path("encoder")) >= 11);

    let mut settings = workshop.settings("ngrams");
    settings.epochs = Some(1);
    settings.optimizer.learning_rate = 0.0;
    settings.optimizer.head_learning_rate = 0.0;
    finish(&settings);
    assert!(right_categories(workshop.path("ngrams")) >= 11);
}

#[test]
fn a_resumed_run_ends_where_a_straight_one_does() {
    let workshop = Workshop::new();
    let straight = finish(&workshop.settings("straight"));
    let mut settings = workshop.settings("resumed");
    for pause in [5, 9] {
        settings.pause_after_steps = Some(pause);
        assert!(matches!(train(&settings).unwrap(), Outcome::Paused { .. }));
        settings.resume = true;
    }
    settings.pause_after_steps = None;
    let resumed = finish(&settings);
    assert_eq!(straight.history, resumed.history);
    assert_eq!(weights(&workshop.path("straight")), weights(&workshop.path("resumed")));
    assert!(!workshop.path("resumed").join("checkpoint").exists());
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let workshop = Workshop::new();
    let mut settings = workshop.settings("a");
    settings.epochs = Some(1);
    finish(&settings);
    settings.output = workshop.path("b");
    finish(&settings);
    assert_eq!(weights(&workshop.path("a")), weights(&workshop.path("b")));
    settings.output = workshop.path("c");
    settings.seed = 2;
    finish(&settings);
    assert_ne!(weights(&workshop.path("a")), weights(&workshop.path("c")));
}

#[test]
fn another_run_does_not_go_on_from_a_checkpoint() {
    let workshop = Workshop::new();
    let mut settings = workshop.settings("run");
    settings.pause_after_steps = Some(2);
    train(&settings).unwrap();
    assert!(refusal(&settings).contains("not empty"));
    settings.resume = true;
    settings.batch_size = 4;
    assert!(refusal(&settings).contains("`batch_size`"));
    settings.output = workshop.path("nowhere");
    assert!(refusal(&settings).contains("no checkpoint"));
}

#[test]
fn rows_of_the_dev_file_and_excluded_ids_are_never_trained_on() {
    let workshop = Workshop::new();
    // The first 12 rows by id, and the next 12 by an exclusion list; the words of both differ from all others.
    workshop.write_rows("dev.jsonl", 12, |index| format!("t{index}"));
    let excluded: Vec<String> = (12..24).map(|index| format!("{{\"id\": \"t{index}\"}}")).collect();
    fs::write(workshop.path("excluded.jsonl"), excluded.join("\n")).unwrap();
    let mut settings = workshop.settings("bundle");
    settings.dev = Some(workshop.path("dev.jsonl"));
    settings.exclude_ids = vec![workshop.path("excluded.jsonl")];
    settings.epochs = Some(1);
    finish(&settings);
    let training: serde_json::Value =
        serde_json::from_slice(&fs::read(workshop.path("bundle/training.json")).unwrap()).unwrap();
    assert_eq!(training["rows"][0]["counts"]["excluded_by_id"], 24);
    // 36 rows are left: 5 batches of at most 8.
    assert_eq!(training["steps"], 5);
    // The same words under other ids.
    workshop.write_rows("dev.jsonl", 12, |index| format!("d{index}"));
    settings.output = workshop.path("other");
    finish(&settings);
    let training: serde_json::Value =
        serde_json::from_slice(&fs::read(workshop.path("other/training.json")).unwrap()).unwrap();
    assert_eq!(training["rows"][0]["counts"]["excluded_by_text"], 12);
    // A list that names no id would bar nothing.
    fs::write(workshop.path("excluded.jsonl"), "{\"ID\": \"t12\"}").unwrap();
    settings.output = workshop.path("third");
    assert!(train(&settings).unwrap_err().to_string().contains("has no column `id`"));
}

#[test]
fn a_bundle_is_a_base_whose_heads_are_taken_over() {
    let workshop = Workshop::new();
    let mut settings = workshop.settings("first");
    settings.epochs = Some(15);
    let first = finish(&settings);
    let mut settings = workshop.settings("second");
    settings.start = Start::Base(workshop.path("first"));
    settings.optimizer.learning_rate = 0.0;
    settings.optimizer.head_learning_rate = 0.0;
    settings.epochs = Some(1);
    let second = finish(&settings);
    assert_eq!(first.heads, second.heads);
}

#[test]
fn float16_bundles_load() {
    let workshop = Workshop::new();
    let mut settings = workshop.settings("half");
    settings.epochs = Some(1);
    settings.half = true;
    finish(&settings);
    assert!(SequenceClassifier::load(&ModelFiles::folder(workshop.path("half")).unwrap()).is_ok());
    let [header, _] = weights(&workshop.path("half"));
    let header = String::from_utf8_lossy(&header[8..2_000]);
    assert!(header.contains("\"F16\"") && header.contains("\"format\":\"pt\""), "{header}");
}

#[test]
fn helping_sets_teach_the_primary_head_and_leave_no_trace() {
    let workshop = Workshop::new();
    // Rows that know only the three categories' numbers: through a crosswalk, and as labels of their own.
    let numbers = [("housing", "1"), ("transport", "2"), ("environment", "3")];
    let rows: Vec<String> = SENTENCES
        .iter()
        .map(|(text, category, _)| {
            let number = numbers.iter().find(|(name, _)| name == category).unwrap().1;
            serde_json::json!({ "text": format!("{text}！"), "number": number }).to_string()
        })
        .collect();
    fs::write(workshop.path("numbers.jsonl"), rows.join("\n")).unwrap();
    let mut settings = workshop.settings("bundle");
    settings.epochs = Some(1);
    let identity = |at: usize| (0..3).map(|i| if i == at { 0.98 } else { 0.01 }).collect();
    settings.crosswalks = vec![CrosswalkData {
        path: workshop.path("numbers.jsonl"),
        column: "number".into(),
        crosswalk: Crosswalk {
            labels: LabelSet::new(["1", "2", "3"]).unwrap(),
            rows: numbers
                .iter()
                .enumerate()
                .map(|(at, (name, _))| ((*name).to_owned(), identity(at)))
                .collect(),
        },
        weight: 40.0,
    }];
    settings.auxiliary =
        vec![AuxiliaryData { path: workshop.path("numbers.jsonl"), column: "number".into(), weight: 1.0 }];
    let report = finish(&settings);
    assert!(report.heads[0].accuracy > 0.9, "{:?}", report.heads);
    let model =
        SequenceClassifier::load_in(&ModelFiles::folder(workshop.path("bundle")).unwrap(), Precision::F32)
            .unwrap();
    assert_eq!(
        model.heads().iter().map(|head| head.name.as_str()).collect::<Vec<_>>(),
        ["category", "risks"]
    );
    // A system that does not know a label of the rows, and one that does not know a category.
    settings.output = workshop.path("other");
    settings.crosswalks[0].crosswalk.labels = LabelSet::new(["1", "2", "4"]).unwrap();
    assert!(refusal(&settings).contains("label `3`"));
    settings.crosswalks[0].crosswalk.labels = LabelSet::new(["1", "2", "3"]).unwrap();
    settings.crosswalks[0].crosswalk.rows.pop();
    assert!(refusal(&settings).contains("nothing about environment"));
}

#[test]
fn bad_rows_stop_the_run_before_it_starts() {
    let workshop = Workshop::new();
    let settings = workshop.settings("bundle");
    fs::write(
        workshop.path("train.jsonl"),
        "{\"text\": \"好\", \"category\": \"a\", \"risks\": []}\n{\"text\": 7}\n",
    )
    .unwrap();
    let error = refusal(&settings);
    assert!(error.contains("train.jsonl:2: `text` holds a number"), "{error}");
    fs::write(workshop.path("train.jsonl"), "{\"text\": \"好\", \"category\": \"a\", \"risks\": []}\n")
        .unwrap();
    assert!(refusal(&settings).contains("has only the label `a`"));
    fs::write(workshop.path("train.jsonl"), "{\"text\": \"好\"}\n").unwrap();
    assert!(refusal(&settings).contains("no column `category`"));
}
