//! Which models a command reads, and where each result goes.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use onnx_quant::OutputFile;

use super::{Failure, STREAM, count, outputs::check_no_terminal, print_to_stderr, with_help};

/// One model and its result, or many.
#[derive(Debug, clap::Args)]
pub struct Models {
    /// The model, and where the result goes, which may be the same file; - is standard input and output. With
    /// --out-dir, any number of models
    #[arg(value_name = "MODEL.onnx", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,

    /// Where the result goes, instead of a second path
    #[arg(short, long, value_name = "OUT.onnx")]
    output: Option<PathBuf>,

    /// Write the result of every model into this folder, under the model's name
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    out_dir: Option<PathBuf>,
}

/// A model and where its result goes.
pub struct Job {
    pub input: PathBuf,
    pub output: PathBuf,
}

impl Models {
    /// Whether there may be many.
    pub fn may_be_many(&self) -> bool {
        self.out_dir.is_some()
    }

    /// Each model with the place of its result.
    pub fn jobs(&self) -> Result<Vec<Job>, Failure> {
        let jobs = match &self.out_dir {
            Some(folder) => into_folder(&self.paths, folder)?,
            None => vec![single(&self.paths, self.output.as_deref())?],
        };
        jobs.iter().try_for_each(|job| check_no_terminal(&job.output))?;
        Ok(jobs)
    }

    /// Does something for each model. Of many, one that fails keeps none of the others from being written.
    pub fn for_each(&self, mut run: impl FnMut(&Path, &Path) -> Result<(), Failure>) -> Result<(), Failure> {
        let jobs = self.jobs()?;
        if !self.may_be_many() {
            return jobs.iter().try_for_each(|job| run(&job.input, &job.output));
        }
        let mut failed = 0;
        for job in &jobs {
            match run(&job.input, &job.output) {
                Ok(()) => {}
                Err(Failure::Failed(error)) => {
                    failed += 1;
                    print_to_stderr(&super::told(&*error));
                }
                Err(failure) => return Err(failure),
            }
        }
        match failed {
            0 => Ok(()),
            _ => Err(Failure::Failed(format!("{failed} of {} failed", count(jobs.len(), "model")).into())),
        }
    }
}

/// A model and its result, as two paths or as a path and `-o`.
fn single(paths: &[PathBuf], output: Option<&Path>) -> Result<Job, Failure> {
    let usage = |message: String| Err(Failure::Usage(message));
    let job = |input: &Path, output: &Path| match output.is_dir() {
        false => Ok(Job { input: input.to_owned(), output: output.to_owned() }),
        true => Err(onto_folder(input, output)),
    };
    match (paths, output) {
        ([input, output], None) => job(input, output),
        ([input], Some(output)) => job(input, output),
        ([input], None) => usage(format!(
            "where is the result of '{}' to go? Give a second path, -o OUT.onnx or --out-dir DIR",
            input.display()
        )),
        ([_, second], Some(output)) => {
            usage(format!("there are two places for one result: '{}' and -o '{}'", second.display(), output.display()))
        }
        (paths, output) => usage(format!(
            "{} paths were given, but one model goes to one place{}; for many models give --out-dir DIR",
            paths.len(),
            if output.is_some() { ", which -o names" } else { ": IN.onnx OUT.onnx" },
        )),
    }
}

/// What to give instead of a folder as the place of a model.
fn onto_folder(input: &Path, folder: &Path) -> Failure {
    let name = input.file_name().unwrap_or("OUT.onnx".as_ref());
    let help = format!("give a file in it, as '{}', or --out-dir {}", folder.join(name).display(), folder.display());
    match OutputFile::at(folder) {
        Err(error) => with_help(&error, &help),
        Ok(_) => Failure::Failed(format!("{}: it is a folder; {help}", folder.display()).into()),
    }
}

fn into_folder(paths: &[PathBuf], folder: &Path) -> Result<Vec<Job>, Failure> {
    let mut names = HashSet::new();
    let mut jobs = Vec::new();
    for path in paths {
        // What was read from text is written as a model.
        let name = match onnx_quant::is_named_text(path) {
            true => path.with_extension("onnx"),
            false => path.clone(),
        };
        let name = name.file_name().filter(|_| path.as_os_str() != STREAM).map(OsString::from);
        let Some(name) = name else {
            return Err(Failure::Usage(format!("'{}' has no name that it could have in --out-dir", path.display())));
        };
        if !names.insert(name.clone()) {
            let name = Path::new(&name).display();
            return Err(Failure::Usage(format!("two models are called '{name}': they cannot both be in --out-dir")));
        }
        let output = folder.join(&name);
        if onnx_quant::is_same_file(path, &output) {
            let (path, folder) = (path.display(), folder.display());
            return Err(Failure::Usage(format!("'{path}' would be replaced: it lies in '{folder}' itself")));
        }
        jobs.push(Job { input: path.clone(), output });
    }
    fs::create_dir_all(folder).map_err(|error| super::failed(folder.display(), error))?;
    Ok(jobs)
}

/// What to give instead of a path that is no model: where it is a folder, a pattern that the shell did not expand, or
/// something that looks like one of the commands.
pub fn advice<'a>(input: &Path, mut commands: impl Iterator<Item = &'a str>) -> Option<String> {
    let shown = input.display();
    if input.is_dir() {
        let models = models_in(input);
        return Some(match &models[..] {
            [] => "it has no .onnx files; a model is one file".to_owned(),
            [only] => format!("name the model in it: '{}'", input.join(only).display()),
            [first, ..] => format!(
                "name one of the models in it ('{}'), or all, as {shown}/*.onnx with --out-dir DIR",
                input.join(first).display()
            ),
        });
    }
    if input.exists() {
        return None;
    }
    let text = input.to_string_lossy();
    if text.contains(['*', '?', '[']) {
        return Some(format!(
            "'{shown}' looks like a pattern, which the shell expands where it stands without quotes and matches files; \
             the results of many models go to --out-dir DIR"
        ));
    }
    let meant = commands.find(|command| strsim::osa_distance(command, &text.to_lowercase()) <= 2);
    meant.map(|command| format!("is the command '{command}' meant?"))
}

/// The names of the models in a folder, in order.
fn models_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| PathBuf::from(entry.file_name()));
    let mut models: Vec<PathBuf> =
        entries.filter(|name| name.extension().is_some_and(|extension| extension == "onnx")).collect();
    models.sort();
    models
}
