//! The page of a report in a real browser: no complaint, nothing fetched, tables that sort and filter, paper.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

#[test]
#[ignore = "needs Chromium and pdftotext, and installs playwright from PyPI"]
fn a_page_is_what_its_reader_relies_on() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    fs::create_dir_all(&folder).unwrap();
    let texts = [
        "楼下路灯不亮",
        "物业乱收停车费",
        "公交车总不来",
        "老板拖欠三个月工资",
        "孩子上学报不了名",
        "饭馆油烟扰民",
    ];
    // One row in four has another's label, so that there are errors to read.
    let labels = ["utilities", "housing", "transport", "labor_social_security", "education", "environment"];
    let line = |row: usize| {
        let label = labels[(row + usize::from(row.is_multiple_of(4))) % labels.len()];
        let area = format!("{}号片区", row % 9);
        format!("r{row},{}，第{row}次反映,{label},{area}\n", texts[row % texts.len()])
    };
    let rows = folder.join("rows.csv");
    fs::write(&rows, format!("id,text,label,区\n{}", (0..240).map(line).collect::<String>())).unwrap();
    let mut evaluate = Command::new(env!("CARGO_BIN_EXE_jiesu"));
    evaluate.arg("evaluate").arg(&rows).args(["--head", "category", "--label-column", "label"]);
    run(evaluate
        .args(["--slice", "区", "--slice", "length", "--model", "built-in", "--report"])
        .arg(&folder));

    let python = folder.join("venv/bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder.join("venv")));
    }
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "playwright>=1.55,<2"]));
    let mut check = Command::new(&python);
    check.arg("tests/browser/check_report.py").arg(folder.join("report.html")).arg(&folder);
    if let Some(browser) = std::env::var_os("CHROMIUM") {
        check.arg("--browser").arg(browser);
    }
    run(&mut check);
}
