//! `millstream new`: makes a plugin's directory from the template of a language, with a copy of its SDK.

mod template;

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::cli::{Exit, NewArgs};
use template::{Names, Template};

/// Makes the directory that `args` name; what can be done next goes to `out`.
///
/// # Errors
///
/// When `out` or `errors` can't be written to.
pub fn run(args: &NewArgs, out: &mut dyn Write, errors: &mut dyn Write) -> io::Result<Exit> {
    let refuse = |errors: &mut dyn Write, message: String| {
        writeln!(errors, "millstream: {message}")?;
        Ok(Exit::Usage)
    };
    let name = match name_of(&args.path) {
        Ok(name) => name,
        Err(why) => return refuse(errors, why),
    };
    let names = match Names::new(&name, args.lang) {
        Ok(names) => names,
        Err(why) => return refuse(errors, format!("{name:?} can't be the name of a plugin: {why}")),
    };
    let Some(template) = Template::of(args.lang) else {
        return refuse(errors, format!("this program was built without a template for {}", args.lang.title()));
    };
    let directory = args.path.display();
    if args.path.symlink_metadata().is_ok() && !is_empty_directory(&args.path) {
        return refuse(
            errors,
            match args.path.file_name() {
                Some(_) => format!("there is {directory} already; choose another name, or remove it"),
                None => format!("{directory} is not empty: name a new directory, or begin in an empty one"),
            },
        );
    }
    if let Err(error) = write(&template, &names, &args.path) {
        writeln!(errors, "millstream: can't write {directory}: {error}")?;
        return Ok(Exit::Other);
    }
    writeln!(out, "{directory} is a plugin in {}. What to do with it:", args.lang.title())?;
    if args.path != Path::new(".") {
        writeln!(out, "  cd {directory}")?;
    }
    writeln!(out, "  millstream build    # the component; `--install` also installs the tools that are missing")?;
    writeln!(out, "  millstream test     # the cases in cases/, without a broker")?;
    writeln!(out, "README.md says how to run it in dev mode.")?;
    Ok(Exit::Clean)
}

/// The plugin's name: the last part of the path; of one that has none, such as `.`, the name of the directory that it means.
fn name_of(path: &Path) -> Result<String, String> {
    let text = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let meant = || fs::canonicalize(path).ok().and_then(|path| text(&path));
    let no_name = || format!("{} names no directory: give the new directory's path", path.display());
    text(path).or_else(meant).ok_or_else(no_name)
}

fn is_empty_directory(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

/// Writes all files into a directory beside, which then gets its name: nobody finds half a plugin. Into a directory that is there
/// they are written as they come: it may be somebody's current one, and must stay the same.
fn write(template: &Template, names: &Names, path: &Path) -> io::Result<()> {
    let write_into = |directory: &Path| {
        template.files(names).try_for_each(|(name, bytes)| {
            let file = directory.join(name);
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(file, bytes)
        })
    };
    if path.is_dir() {
        return write_into(path);
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let part = parent.join(format!(".{}.{}.part", names.plain(), std::process::id()));
    let done = write_into(&part).and_then(|()| fs::rename(&part, path));
    if done.is_err() {
        // What can't be removed either is told by the first error well enough.
        let _ = fs::remove_dir_all(&part);
    }
    done
}
