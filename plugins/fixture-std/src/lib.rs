//! Does what people are used to do with the standard library: prints, asks for the time and for random bytes. The value of
//! a record is a command; a longer one is printed and forwarded.

#[macro_use]
extern crate millstream_sdk;

use std::time::SystemTime;

use millstream_sdk::prelude::*;
use millstream_sdk::time;

struct Std;

impl Processor for Std {
    fn init(_setup: &mut Setup) -> Result<Self> {
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let answer = match record.value_as::<&str>()? {
            "say" => {
                said::print();
                String::new()
            }
            "random" => {
                let mut bytes = [[0; 8]; 2];
                getrandom::fill(&mut bytes[0]).map_err(Error::fatal)?;
                getrandom_02::getrandom(&mut bytes[1]).map_err(Error::fatal)?;
                bytes.as_flattened().iter().map(|byte| format!("{byte:02x}")).collect()
            }
            "clocks" => {
                let started = time::Instant::now();
                let since_epoch = time::now().duration_since(SystemTime::UNIX_EPOCH)?;
                format!("{} {}", since_epoch.as_millis(), time::Instant::now() >= started)
            }
            "clock of std" => format!("{:?}", SystemTime::now()),
            "sleep of std" => {
                std::thread::sleep(std::time::Duration::from_secs(1));
                String::new()
            }
            long => {
                println!("{long}");
                long.to_owned()
            }
        };
        context.forward(record.with_value(&answer));
        Ok(())
    }
}

/// A module that names no macro.
mod said {
    pub fn print() {
        print!("to standard ");
        println!("output of {}", 1);
        println!();
        eprintln!("to standard {}", "error");
        let two = dbg! { 1 + 1 };
        assert_eq!((two, "a"), dbg! { two, "a" });
        print!("and without an end");
    }
}

export! { processors: { "std" => Std } }
