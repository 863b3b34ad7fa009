//! A taxonomy file never brings the loader down. One that is refused is told with lines of that file; in one that is
//! accepted everything is found by its own names, and the rows of crosswalks sum to one.

#![no_main]

use jiesu::taxonomy::Taxonomy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let taxonomy = match Taxonomy::parse("fuzz.toml", &text) {
        Ok(taxonomy) => taxonomy,
        Err(faults) => {
            let lines = text.split('\n').count();
            assert!(!faults.faults.is_empty());
            assert!(faults.faults.iter().all(|fault| (1..=lines).contains(&fault.line)), "{faults}");
            assert!(faults.faults.is_sorted_by_key(|fault| fault.line));
            assert!(!faults.to_string().is_empty());
            return;
        }
    };
    assert!(!taxonomy.version.trim().is_empty() && !taxonomy.categories.is_empty());
    for category in &taxonomy.categories {
        assert_eq!(taxonomy.category(&category.id), Some(category));
        for name in [&category.id, &category.name, &category.name_en] {
            assert_eq!(taxonomy.category_by_label(name), Some(category), "{name}");
        }
    }
    for term in &taxonomy.risks {
        for name in [&term.id, &term.name, &term.name_en] {
            assert_eq!(taxonomy.risk_by_label(name), Some(term), "{name}");
        }
    }
    for system in &taxonomy.label_systems {
        for category in &taxonomy.categories {
            let row = system.row(&category.id).expect("every category has a row");
            assert_eq!(row.len(), system.labels.len());
            assert!(row.iter().all(|share| (0.0..=1.0).contains(share)), "{row:?}");
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-3, "{row:?}");
        }
    }
});
