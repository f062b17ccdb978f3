//! One case: what its file says, and what its command makes of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
    sync::OnceLock,
};

use onnx_quant::{Model, SaveOptions};

use super::numbers;
use crate::{command_line, runtime::texts::with_numbers};

/// What a file of `tests/cases` asks for.
pub struct Case {
    /// The file below the folder of cases, without its ending.
    pub name: String,
    file: PathBuf,
    command: Vec<String>,
    /// What N stands for in the command, which is run with each; none where the command has no N.
    opsets: Vec<String>,
    /// Another file with a model that computes what the command's result must.
    like: Option<PathBuf>,
    /// How far results may be off, relative to the largest element.
    pub tolerance: f64,
    /// How many samples of made-up numbers there are.
    samples: usize,
    /// Whether to compare numbers.
    numbers: bool,
    made: OnceLock<Made>,
}

/// What the command made.
pub struct Made {
    /// The model whose numbers are right.
    pub expected: PathBuf,
    /// What was written, for each opset.
    pub written: Vec<PathBuf>,
    /// What the last run said, and the model that it wrote.
    said: String,
}

/// What differs where sums are made in another order, and where a weight is rounded once more.
const TOLERANCE: f64 = 2e-6;

impl Case {
    /// Reads a case; a model without a command is there for another one.
    pub fn read(root: &Path, file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).expect("a case is text");
        let command = text.lines().next()?.strip_prefix("# $ onnx-quant ")?;
        let below = file.strip_prefix(root).expect("it is below").with_extension("");
        let mut case = Self {
            name: below.to_str().expect("a name in UTF-8").replace('\\', "/"),
            file: file.to_owned(),
            command: command.split_whitespace().map(str::to_owned).collect(),
            opsets: Vec::new(),
            like: None,
            tolerance: TOLERANCE,
            samples: 0,
            numbers: true,
            made: OnceLock::new(),
        };
        for setting in text.lines().filter_map(|line| line.strip_prefix("#: ")) {
            case.set(setting);
        }
        Some(case)
    }

    fn set(&mut self, setting: &str) {
        let (key, value) = setting.split_once(' ').unwrap_or((setting, ""));
        match key {
            "opsets" => self.opsets = value.split_whitespace().map(str::to_owned).collect(),
            "like" => self.like = Some(self.file.with_file_name(value)),
            "tolerance" => self.tolerance = value.parse().expect("a tolerance is a number"),
            "samples" => self.samples = value.parse().expect("how many samples"),
            "no-numbers" => self.numbers = false,
            _ => panic!("{}: what is '{setting}'?", self.file.display()),
        }
    }

    /// Whether the command writes a model that is to be run.
    pub fn has_numbers(&self) -> bool {
        self.numbers && self.command.iter().any(|argument| argument == "OUT")
    }

    /// What the command made; it runs once.
    pub fn made(&self) -> &Made {
        self.made.get_or_init(|| self.run())
    }

    fn run(&self) -> Made {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cases").join(&self.name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the target directory can be written");
        let text = with_numbers(&fs::read_to_string(&self.file).expect("it was read before"));
        fs::write(folder.join("in.txt"), &text).expect("it can be written");
        let expected = match &self.like {
            Some(like) => saved(&folder, &with_numbers(&fs::read_to_string(like).expect("the file of 'like'"))),
            None if self.has_numbers() => saved(&folder, &text),
            None => folder.join("in.txt"),
        };
        if self.samples > 0 {
            numbers::write_samples(&folder, self.samples);
        }
        let (mut written, mut said) = (Vec::new(), String::new());
        let opsets = if self.opsets.is_empty() { vec![String::new()] } else { self.opsets.clone() };
        for opset in opsets {
            let name = format!("out{opset}.onnx");
            let output = self.run_command(&folder, &opset, "in.txt", &name);
            let path = folder.join(&name);
            said = describe(&output);
            if path.exists() {
                let model = Model::load(&path).unwrap_or_else(|error| panic!("{error}"));
                model.verify().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                said += &model.to_text();
                self.assert_settled(&folder, &opset, &name);
                written.push(path);
            }
        }
        Made { expected, written, said }
    }

    fn run_command(&self, folder: &Path, opset: &str, input: &str, output: &str) -> Output {
        let arguments = self.command.iter().map(|argument| match argument.as_str() {
            "IN" => input,
            "OUT" => output,
            "N" => opset,
            "SAMPLES" => "samples",
            other => other,
        });
        command_line::run(folder, &arguments.collect::<Vec<_>>())
    }

    /// The command run once more on what it wrote leaves it as it is.
    fn assert_settled(&self, folder: &Path, opset: &str, written: &str) {
        let again = self.run_command(folder, opset, written, "again.onnx");
        assert!(again.status.success(), "{}: run again: {}", self.name, command_line::stderr(&again));
        let read = |name: &str| fs::read(folder.join(name)).expect("it was written");
        assert!(read(written) == read("again.onnx"), "{}: run again, it writes another model", self.name);
    }

    /// What the command says and writes is what stands beside the case.
    pub fn assert_written(&self) {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(self.file.parent().expect("a case is in a folder"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_info();
        let name = self.file.file_stem().expect("a case has a name").to_str().expect("in UTF-8");
        settings.bind(|| insta::assert_snapshot!(name, self.made().said));
    }
}

/// A model in a file that all runtimes read.
fn saved(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("expected.onnx");
    let model = Model::from_text(text).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    model.save(&path, &SaveOptions::default()).expect("it can be written");
    path
}

/// What a command said, where it failed with its exit status.
fn describe(output: &Output) -> String {
    let mut said = command_line::stderr(output);
    said += std::str::from_utf8(&output.stdout).expect("what it prints is UTF-8");
    if !output.status.success() {
        said += &format!("exit status {}\n", output.status.code().expect("it ended by itself"));
    }
    said
}
