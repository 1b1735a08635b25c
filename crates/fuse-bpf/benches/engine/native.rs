//! The same C as native code, compiled when the benchmark runs.
#![allow(unsafe_code, reason = "calls of a shared object's functions")]

use std::ffi::{CStr, CString, OsString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::object;

/// A program as a function.
type Entry = unsafe extern "C" fn(*mut c_void) -> u64;

/// The shared object. It stays loaded.
pub(crate) struct Native {
    handle: *mut c_void,
    /// The compiler's own words.
    pub(crate) compiler: String,
}

/// A function of the shared object.
#[derive(Clone, Copy)]
pub(crate) struct Function(Entry);

impl Native {
    /// Compiles and loads, or says why that cannot be.
    pub(crate) fn new() -> Result<Native, String> {
        let clang = std::env::var_os("BPF_CLANG").unwrap_or_else(|| OsString::from("clang"));
        let failed = |why: String| format!("{}: {}", clang.to_string_lossy(), why.trim());
        let run = |command: &mut Command| match command.output() {
            Ok(output) if output.status.success() => Ok(output.stdout),
            Ok(output) => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
            Err(error) => Err(failed(format!("{error} (package clang)"))),
        };
        let version = run(Command::new(&clang).arg("--version"))?;
        let compiler = String::from_utf8_lossy(&version).lines().next().unwrap_or_default().to_owned();
        let library = std::env::temp_dir().join(format!("fuse-bpf-engine-{}.so", std::process::id()));
        let options = ["-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-o"];
        let made = run(Command::new(&clang).args(options).arg(&library).arg(object::file("engine.bpf.c")));
        let path = CString::new(library.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        let opened = made.and_then(|_| {
            // SAFETY: the path is a string, and loading the object runs no code of its own.
            let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
            if handle.is_null() { Err(failed(reason())) } else { Ok(handle) }
        });
        // It stays loaded without its file.
        let _ = std::fs::remove_file(&library);
        opened.map(|handle| Native { handle, compiler })
    }

    /// The function of this name.
    pub(crate) fn function(&self, name: &str) -> Option<Function> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is of an object that is loaded, the name is a string.
        let found = unsafe { libc::dlsym(self.handle, name.as_ptr()) };
        if found.is_null() {
            return None;
        }
        // SAFETY: all functions that the object shows have this signature, and the address is not null.
        Some(Function(unsafe { std::mem::transmute::<*mut c_void, Entry>(found) }))
    }
}

impl Function {
    #[inline]
    pub(crate) fn call(self) -> u64 {
        // SAFETY: the functions of the source take no notice of their argument, and the object stays loaded.
        unsafe { (self.0)(std::ptr::null_mut()) }
    }
}

/// Why the last call of the loader failed.
fn reason() -> String {
    // SAFETY: it gives a string or null.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return String::new();
    }
    // SAFETY: it is not null, and so a string that stays until the next call of the loader.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
