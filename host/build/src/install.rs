//! What a tool chain lacks, and the command that installs it.

use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::language::Language;

/// Something that a language's plugins can't be built without, and that isn't there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The language.
    pub language: Language,
    /// What is missing, in words.
    pub what: String,
    /// What to do where apt-get can't help.
    pub elsewhere: &'static str,
    /// The commands that install it, one after the other; none where there is no way that asks only package registries.
    pub commands: Vec<Vec<String>>,
}

impl Missing {
    /// Something that Debian's and Ubuntu's packages have.
    pub(crate) fn in_packages(
        language: Language,
        what: impl Into<String>,
        packages: &[&str],
        elsewhere: &'static str,
    ) -> Self {
        let mut command: Vec<String> =
            ["apt-get", "install", "-y", "--no-install-recommends"].map(str::to_owned).to_vec();
        command.extend(packages.iter().map(|&package| package.to_owned()));
        Self { language, what: what.into(), elsewhere, commands: vec![command] }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        let commands: Vec<String> = self.commands.iter().map(|command| command.join(" ")).collect();
        if commands.is_empty() {
            return self.elsewhere.to_owned();
        }
        format!("run `{}` (or this command with `--install`), or {}", commands.join(" && "), self.elsewhere)
    }

    /// Runs the commands; what they say goes to standard error.
    fn install(&self, report: &mut dyn FnMut(&str)) -> Result<()> {
        for command in &self.commands {
            let line = command.join(" ");
            report(&format!("installing: {line}"));
            let is_done = run(command) || {
                // The lists of packages may be old, or missing.
                command.first().is_some_and(|program| program == "apt-get")
                    && run(&["apt-get".to_owned(), "update".to_owned()])
                    && run(command)
            };
            if !is_done {
                return Err(Error::Install { command: line });
            }
        }
        Ok(())
    }
}

/// Runs a command, as root if it is apt-get.
fn run(command: &[String]) -> bool {
    let mut words = command.iter();
    let Some(program) = words.next() else { return true };
    let mut process = Command::new(program);
    if program == "apt-get" && !is_root() {
        process = Command::new("sudo");
        process.arg(program);
    }
    let process = process.args(words).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    process.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// What `find` finds. When something is missing, says what installs it; with `install` installs it and looks again, until
/// nothing is missing or the same is missing again.
pub(crate) fn find<T>(
    install: bool,
    report: &mut dyn FnMut(&str),
    find: impl Fn() -> std::result::Result<T, Missing>,
) -> Result<T> {
    let mut installed = Vec::new();
    loop {
        let missing = match find() {
            Ok(found) => return Ok(found),
            Err(missing) => missing,
        };
        if !install || missing.commands.is_empty() || installed.contains(&missing) {
            return Err(Error::Missing(missing));
        }
        missing.install(report)?;
        installed.push(missing);
    }
}
