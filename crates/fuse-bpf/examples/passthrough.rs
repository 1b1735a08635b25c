//! Mounts a directory with nothing in between, or through the program sets of filter objects:
//! `passthrough SOURCE MOUNTPOINT [OBJECT…]`. Ends when it is unmounted.

use std::path::Path;

use fuse_bpf::filter::FilterObject;
use fuse_bpf::{Builder, worker_slots};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, mountpoint, objects @ ..] = arguments.as_slice() else {
        return Err("usage: passthrough SOURCE MOUNTPOINT [OBJECT…]".into());
    };
    let mut builder = Builder::new(Path::new(source));
    for object in objects {
        for set in FilterObject::load_file(Path::new(object), worker_slots())?.sets() {
            builder = builder.filter(set.clone());
        }
    }
    builder.mount(Path::new(mountpoint))?.wait();
    Ok(())
}
