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
            let mut words = command.iter();
            let mut process = match words.next() {
                Some(apt) if apt == "apt-get" && !is_root() => {
                    let mut sudo = Command::new("sudo");
                    sudo.arg(apt);
                    sudo
                }
                Some(program) => Command::new(program),
                None => continue,
            };
            let status = process.args(words).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).status();
            if !status.is_ok_and(|status| status.success()) {
                return Err(Error::Install { command: line });
            }
        }
        Ok(())
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// What `find` finds. When something is missing, says what installs it; with `install` installs it and looks again.
pub(crate) fn find<T>(
    install: bool,
    report: &mut dyn FnMut(&str),
    find: impl Fn() -> std::result::Result<T, Missing>,
) -> Result<T> {
    let missing = match find() {
        Ok(found) => return Ok(found),
        Err(missing) => missing,
    };
    if !install || missing.commands.is_empty() {
        return Err(Error::Missing(missing));
    }
    missing.install(report)?;
    find().map_err(Error::Missing)
}
