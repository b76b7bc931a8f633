//! Speaks WASI, as the run time of a language does: the value of a record is a command, and what WASI answers is forwarded.
//! It imports `wasi_snapshot_preview1`, for which `millstream build` puts the adapter to WASI 0.2 in.
#![allow(unsafe_code, reason = "WASI is called by its raw functions, so that any target can build this")]

use millstream_sdk::prelude::*;

struct Wasi;

impl Processor for Wasi {
    fn init(_setup: &mut Setup) -> Result<Self> {
        write(2, b"it begins\n");
        Ok(Self)
    }

    fn process(&mut self, record: Record<'_>, context: &mut Context) -> Result<()> {
        let answer = match record.value_as::<&str>()? {
            "say" => {
                write(1, b"to standard ");
                write(1, b"output\nand without an end");
                write(2, b"to standard error\r\n");
                String::new()
            }
            "panic" => {
                for line in 0..100 {
                    write(2, format!("panic: line {line}\n\n").as_bytes());
                }
                exit(2)
            }
            "exit" => exit(0),
            "clocks" => format!("{} {}", time(WALL_CLOCK), time(MONOTONIC) > 0),
            "sleep" => {
                let before = time(MONOTONIC);
                sleep(HOUR);
                format!("{}", (time(MONOTONIC) - before) / HOUR)
            }
            "sleep for ever" => loop {
                sleep(HOUR);
            },
            "random" => random().iter().map(|byte| format!("{byte:02x}")).collect(),
            "environment" => environment(),
            other => return Err(Error::fatal(format!("there is no command `{other}`"))),
        };
        context.forward(record.with_value(&answer));
        Ok(())
    }
}

const WALL_CLOCK: u32 = 0;
const MONOTONIC: u32 = 1;
const HOUR: u64 = 3_600_000_000_000;

#[cfg(target_arch = "wasm32")]
mod calls {
    use super::MONOTONIC;

    #[repr(C)]
    struct Slice {
        start: *const u8,
        length: usize,
    }

    /// `subscription` of preview 1, for a clock.
    #[repr(C, align(8))]
    struct Subscription {
        user_data: u64,
        kind: u64,
        clock: u64,
        timeout: u64,
        precision: u64,
        flags: u64,
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        fn fd_write(fd: u32, slices: *const Slice, count: usize, written: *mut usize) -> u32;
        fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
        fn random_get(bytes: *mut u8, length: usize) -> u32;
        fn poll_oneoff(input: *const Subscription, output: *mut u8, count: usize, events: *mut usize) -> u32;
        fn proc_exit(code: u32) -> !;
        fn environ_sizes_get(count: *mut usize, bytes: *mut usize) -> u32;
        fn args_sizes_get(count: *mut usize, bytes: *mut usize) -> u32;
        fn fd_prestat_get(fd: u32, prestat: *mut u64) -> u32;
        fn fd_read(fd: u32, slices: *const Slice, count: usize, read: *mut usize) -> u32;
    }

    pub fn write(fd: u32, bytes: &[u8]) {
        let slice = Slice { start: bytes.as_ptr(), length: bytes.len() };
        let mut written = 0;
        // SAFETY: the pointers are those of values that live longer than the call; so below.
        let error = unsafe { fd_write(fd, &slice, 1, &mut written) };
        assert_eq!((error, written), (0, bytes.len()));
    }

    pub fn time(clock: u32) -> u64 {
        let mut time = 0;
        // SAFETY: as in `write`.
        assert_eq!(unsafe { clock_time_get(clock, 1, &mut time) }, 0);
        time
    }

    pub fn random() -> [u8; 16] {
        let mut bytes = [0; 16];
        // SAFETY: as in `write`.
        assert_eq!(unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) }, 0);
        bytes
    }

    pub fn sleep(timeout: u64) {
        let input =
            Subscription { user_data: 7, kind: 0, clock: u64::from(MONOTONIC), timeout, precision: 0, flags: 0 };
        let (mut output, mut events) = ([0_u64; 4], 0);
        // SAFETY: as in `write`; an event takes 32 bytes.
        let error = unsafe { poll_oneoff(&input, output.as_mut_ptr().cast(), 1, &mut events) };
        assert_eq!((error, events), (0, 1));
    }

    pub fn exit(code: u32) -> ! {
        // SAFETY: nothing is handed over.
        unsafe { proc_exit(code) }
    }

    pub fn environment() -> String {
        let (mut variables, mut arguments, mut bytes, mut prestat, mut read) = (9, 9, 0, 0, 9);
        let mut buffer = [0; 8];
        let slice = Slice { start: buffer.as_mut_ptr(), length: buffer.len() };
        // SAFETY: as in `write`.
        let errors = unsafe {
            [
                environ_sizes_get(&mut variables, &mut bytes),
                args_sizes_get(&mut arguments, &mut bytes),
                fd_prestat_get(3, &mut prestat),
                fd_read(0, &slice, 1, &mut read),
            ]
        };
        format!("{variables} variables, {arguments} arguments, {read} bytes of input, errors {errors:?}")
    }
}

#[cfg(target_arch = "wasm32")]
use calls::*;

#[cfg(not(target_arch = "wasm32"))]
mod calls {
    //! Without Wasm there is no WASI; the crate is only checked then.
    pub fn write(_fd: u32, _bytes: &[u8]) {}
    pub fn time(_clock: u32) -> u64 {
        0
    }
    pub fn random() -> [u8; 16] {
        [0; 16]
    }
    pub fn sleep(_timeout: u64) {}
    pub fn exit(code: u32) -> ! {
        panic!("exit {code}")
    }
    pub fn environment() -> String {
        String::new()
    }
}

#[cfg(not(target_arch = "wasm32"))]
use calls::*;

millstream_sdk::export! { processors: { "wasi" => Wasi } }
