//! Ring buffers: records from programs to one reader, in order of reservation.
//!
//! Positions count bytes since the map was made and never wrap; a position's place in memory is its
//! remainder by the ring's size. A record is an 8-byte header and its data, rounded up to 8 bytes,
//! and takes that many bytes of the ring. Data must be contiguous for programs, so the memory is
//! twice the ring: a record that starts near the end runs on into the second half while the first
//! bytes of the ring, which it takes as well, lie unused.
//!
//! The header's low word is the length with [`BUSY`] and [`DISCARD`], as in the kernel's ring. The
//! reader stops at the first busy record.
//!
//! A reader is told of a record by [`RingBuf::wait`] or by the descriptor of [`RingBuf::event`]. The latter
//! costs a writer a system call, but only for a record the reader has come up to, or one after records the
//! reader was not told of: of those behind the one it reads it finds out by itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::{MAX_BYTES, MapError, MapSpec};
use crate::mem::{Window, zeroed_words};

/// The record is reserved and not finished (`BPF_RINGBUF_BUSY_BIT`).
const BUSY: u64 = 1 << 31;
/// The record is to be skipped (`BPF_RINGBUF_DISCARD_BIT`).
const DISCARD: u64 = 1 << 30;
/// Bytes before the data of a record (`BPF_RINGBUF_HDR_SZ`).
const HEADER: u64 = 8;
/// Ring sizes are multiples of this.
const PAGE: u32 = 4096;

/// A ring buffer of records: many writers, one reader.
#[derive(Debug)]
pub struct RingBuf {
    /// Twice the ring.
    words: Box<[AtomicU64]>,
    size: u64,
    /// Where the next record starts. Written under `reserving`.
    produced: AtomicU64,
    /// Up to where records were read. Written under `reading`.
    consumed: AtomicU64,
    reserving: Mutex<()>,
    /// Holds the buffer in which a record is handed out.
    reading: Mutex<Vec<u8>>,
    /// How many threads are in [`RingBuf::wait`].
    waiting: AtomicUsize,
    sleeping: Mutex<()>,
    wake: Condvar,
    /// Counts records the reader should look for. Made when somebody asks for it.
    event: OnceLock<OwnedFd>,
    /// Whether a record was finished since the last one the reader was told of.
    quiet: AtomicBool,
}

/// Room in a ring buffer that was reserved and not yet given to the reader. Dropping it discards the
/// record.
#[derive(Debug)]
pub struct Reservation<'r> {
    ring: &'r RingBuf,
    position: u64,
    window: Window<'r>,
}

impl<'r> Reservation<'r> {
    /// The memory of the record.
    pub fn window(&self) -> Window<'r> {
        self.window
    }

    /// Hands the record to the reader; `wake` tells whether to wake one that waits.
    pub fn submit(self, wake: bool) {
        self.ring.finish(self.position, self.window.len() as u64, wake);
        std::mem::forget(self);
    }

    /// Gives the room back; `wake` as for [`Reservation::submit`].
    pub fn discard(self, wake: bool) {
        self.ring.finish(self.position, self.window.len() as u64 | DISCARD, wake);
        std::mem::forget(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.ring.finish(self.position, self.window.len() as u64 | DISCARD, true);
    }
}

/// Poison is of no concern: what these locks order is always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of the ring a record takes; `len` is at most a ring's size.
fn record_size(len: u64) -> u64 {
    (len + HEADER).next_multiple_of(8)
}

impl RingBuf {
    pub(super) fn new(spec: &MapSpec) -> Result<RingBuf, MapError> {
        let size = spec.max_entries;
        if spec.key_size != 0 || spec.value_size != 0 {
            return Err(spec.refuse("a ring buffer has no key and no value size"));
        }
        if !size.is_power_of_two() || !size.is_multiple_of(PAGE) {
            let near = size.max(PAGE).checked_next_power_of_two().unwrap_or(1 << 29);
            return Err(spec.refuse(format!(
                "max_entries, the size in bytes, is {size}; it must be a power of two and a multiple of {PAGE}, \
                 e.g. {near}"
            )));
        }
        if u64::from(size) * 2 > MAX_BYTES {
            return Err(spec.refuse(format!("a ring of {size} bytes is more than {}", MAX_BYTES / 2)));
        }
        Ok(RingBuf {
            words: zeroed_words(size as usize / 4),
            size: size.into(),
            produced: AtomicU64::new(0),
            consumed: AtomicU64::new(0),
            reserving: Mutex::new(()),
            reading: Mutex::new(Vec::new()),
            waiting: AtomicUsize::new(0),
            sleeping: Mutex::new(()),
            wake: Condvar::new(),
            event: OnceLock::new(),
            quiet: AtomicBool::new(false),
        })
    }

    /// Reserves a record of `len` bytes, whose content is undefined; `None` when there is no room.
    pub fn reserve(&self, len: u64) -> Option<Reservation<'_>> {
        // Before anything is added to it: programs pass any number.
        if len > self.size || record_size(len) > self.size {
            return None;
        }
        let total = record_size(len);
        let _alone = lock(&self.reserving);
        let position = self.produced.load(Ordering::Relaxed);
        // Acquire: the reader is done with the bytes before it moves its position past them.
        if position + total - self.consumed.load(Ordering::Acquire) > self.size {
            return None;
        }
        let start = (position % self.size) as usize;
        let data = start + HEADER as usize;
        let window = Window::from_shared(&self.words, self.words.len() * 8).sub(data, len as usize)?;
        self.header(position).store(len | BUSY, Ordering::Relaxed);
        // Release: the reader sees the header of every record before `produced`.
        self.produced.store(position + total, Ordering::Release);
        Some(Reservation { ring: self, position, window })
    }

    /// Copies `data` into a record and hands it to the reader. `false` when there is no room.
    #[must_use]
    pub fn output(&self, data: Window<'_>, wake: bool) -> bool {
        self.reserve(data.len() as u64).is_some_and(|record| {
            let copied = data.copy_to(&record.window());
            record.submit(wake);
            copied
        })
    }

    /// Bytes taken by records that were not read yet, finished or not.
    pub fn available(&self) -> u64 {
        self.produced().saturating_sub(self.consumed())
    }

    /// Size of the ring in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes of records were read since the map was made.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Acquire)
    }

    /// How many bytes of records were reserved since the map was made.
    pub fn produced(&self) -> u64 {
        self.produced.load(Ordering::Acquire)
    }

    /// Hands every finished record to `each`, oldest first, and frees it; stops at one that is not
    /// finished. Returns how many were handed out.
    ///
    /// One thread reads at a time, others wait for it; `each` must not consume the same ring.
    pub fn consume(&self, mut each: impl FnMut(&[u8])) -> usize {
        let mut buf = lock(&self.reading);
        let mut count = 0;
        if let Some(event) = self.event.get() {
            // Before the records are looked at: what is finished later counts again. When nothing was
            // counted this fails, and that is as good.
            let _ = rustix::io::read(event, &mut [0; 8]);
        }
        while let Some((position, header)) = self.finished() {
            let len = header & !(BUSY | DISCARD);
            if header & DISCARD == 0 {
                buf.resize(len as usize, 0);
                let data = (position % self.size + HEADER) as usize;
                let copied = Window::from_shared(&self.words, self.words.len() * 8).read(data, &mut buf);
                debug_assert!(copied, "headers are out of the reach of programs");
                each(&buf);
                count += 1;
            }
            // Release: writers reuse the bytes only after they were copied.
            self.consumed.store(position + record_size(len), Ordering::Release);
            // Pairs with the fence in `finish`: either this thread sees the next record finished, or its
            // writer sees that the reader has come up to it.
            fence(Ordering::SeqCst);
        }
        count
    }

    /// A descriptor that can be read (poll, epoll) when there may be records to [`RingBuf::consume`],
    /// which makes it not readable until there are new ones. It is not for reading.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be made, e.g. because there are too many.
    pub fn event(&self) -> io::Result<BorrowedFd<'_>> {
        if let Some(event) = self.event.get() {
            return Ok(event.as_fd());
        }
        // With one counted, for records that are there already.
        let made = eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(self.event.get_or_init(|| made).as_fd())
    }

    /// Waits until there is a finished record, for at most `timeout`. Whether there is one. A
    /// discarded record counts.
    pub fn wait(&self, timeout: Duration) -> bool {
        let start = Instant::now();
        let mut guard = lock(&self.sleeping);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fence in `finish`: either this thread sees the record or the writer sees it
        // waiting.
        fence(Ordering::SeqCst);
        let mut ready = self.finished().is_some();
        while !ready {
            let Some(left) = timeout.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
                break;
            };
            guard = match self.wake.wait_timeout(guard, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
            ready = self.finished().is_some();
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        ready
    }

    /// Position and header of the oldest unread record if it is finished.
    fn finished(&self) -> Option<(u64, u64)> {
        let position = self.consumed.load(Ordering::Acquire);
        if position == self.produced.load(Ordering::Acquire) {
            return None;
        }
        // Acquire: with the busy bit gone, the data is there.
        let header = self.header(position).load(Ordering::Acquire);
        (header & BUSY == 0).then_some((position, header))
    }

    fn finish(&self, position: u64, header: u64, wake: bool) {
        if !wake {
            self.quiet.store(true, Ordering::Release);
        }
        self.header(position).store(header, Ordering::Release);
        if wake {
            fence(Ordering::SeqCst);
            let quiet = self.quiet.load(Ordering::Relaxed) && self.quiet.swap(false, Ordering::AcqRel);
            if let Some(event) = self.event.get()
                && (quiet || self.consumed.load(Ordering::Relaxed) == position)
            {
                // It fails only when as many were counted as fit: the reader is awake then.
                let _ = rustix::io::write(event, &1u64.to_ne_bytes());
            }
            if self.waiting.load(Ordering::Relaxed) > 0 {
                // A thread that counted itself waiting either sleeps by now or sees the record.
                drop(lock(&self.sleeping));
                self.wake.notify_all();
            }
        }
    }

    fn header(&self, position: u64) -> &AtomicU64 {
        &self.words[(position % self.size / 8) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::super::{Map, MapKind};
    use super::*;

    fn drain(ring: &RingBuf) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        ring.consume(|record| records.push(record.to_vec()));
        records
    }

    #[test]
    fn records_come_in_order_of_reservation_and_wait_for_the_busy_one() {
        let map = Map::new(spec(MapKind::RingBuf, 0, 0, 4096), 1).unwrap();
        let ring = map.ring().unwrap();
        let first = ring.reserve(3).unwrap();
        assert!(ring.output(Window::from_bytes(b"second"), true));
        assert!(drain(ring).is_empty());
        assert!(!ring.wait(Duration::ZERO));
        assert!(first.window().write(0, b"abc"));
        first.submit(true);
        drop(ring.reserve(8).unwrap());
        ring.reserve(8).unwrap().discard(false);
        assert!(ring.wait(Duration::ZERO));
        assert_eq!(drain(ring), [&b"abc"[..], b"second"]);
        assert_eq!(ring.available(), 0);
    }

    #[test]
    fn every_byte_of_the_ring_can_be_used_wherever_a_record_starts() {
        let map = Map::new(spec(MapKind::RingBuf, 0, 0, 4096), 1).unwrap();
        let ring = map.ring().unwrap();
        assert!(ring.reserve(4096).is_none());
        assert!(ring.reserve(u64::MAX).is_none());
        for round in 0..1000u64 {
            let len = 4088 - round % 100;
            let record = ring.reserve(len).unwrap();
            let data: Vec<u8> = (0..len).map(|i| (i ^ round) as u8).collect();
            assert!(record.window().write(0, &data));
            assert!(ring.reserve(100).is_none());
            record.submit(false);
            assert!(ring.output(Window::from_bytes(&[]), true) == (4096 - record_size(len) >= 8));
            assert_eq!(drain(ring)[0], data);
        }
    }

    fn readable(event: BorrowedFd<'_>, timeout: Duration) -> bool {
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(event, rustix::event::PollFlags::IN)];
        let timeout = timeout.try_into().unwrap();
        rustix::event::poll(&mut fds, Some(&timeout)).unwrap() == 1
    }

    #[test]
    fn the_descriptor_is_readable_when_there_are_records() {
        let map = Map::new(spec(MapKind::RingBuf, 0, 0, 4096), 1).unwrap();
        let ring = map.ring().unwrap();
        assert!(ring.output(Window::from_bytes(b"early"), true));
        let event = ring.event().unwrap();
        assert!(readable(event, Duration::ZERO));
        assert_eq!(drain(ring).len(), 1);
        assert!(!readable(event, Duration::ZERO));
        let first = ring.reserve(8).unwrap();
        assert!(ring.output(Window::from_bytes(b"behind the first"), true));
        assert!(!readable(event, Duration::ZERO), "nothing can be consumed");
        first.submit(true);
        assert!(readable(event, Duration::ZERO));
        assert_eq!(drain(ring).len(), 2);
        assert!(ring.output(Window::from_bytes(b"quiet"), false));
        assert!(!readable(event, Duration::ZERO));
        assert!(ring.output(Window::from_bytes(b"loud"), true));
        assert!(readable(event, Duration::ZERO));
        assert_eq!(drain(ring).len(), 2);

        std::thread::scope(|scope| {
            scope.spawn(|| {
                for i in 0..20_000u64 {
                    while !ring.output(Window::from_bytes(&i.to_ne_bytes()), true) {
                        std::thread::yield_now();
                    }
                }
            });
            let mut seen = 0;
            while seen < 20_000 {
                assert!(readable(event, Duration::from_secs(60)), "a wake-up was lost");
                seen += ring.consume(|_| ());
            }
        });
    }

    #[test]
    fn many_writers_one_reader() {
        const WRITERS: u32 = 4;
        const EACH: u32 = 5000;
        let map = Map::new(spec(MapKind::RingBuf, 0, 0, 4096), 1).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let map = &map;
                scope.spawn(move || {
                    for i in 0..EACH {
                        let len = 8 + u64::from(i % 60);
                        let record = loop {
                            if let Some(record) = map.ring().unwrap().reserve(len) {
                                break record;
                            }
                            std::thread::yield_now();
                        };
                        let mut data = vec![writer as u8; len as usize];
                        data[..4].copy_from_slice(&i.to_ne_bytes());
                        assert!(record.window().write(0, &data));
                        if i % 7 == 0 { record.discard(true) } else { record.submit(true) }
                    }
                });
            }
            let mut next = [0u32; WRITERS as usize];
            let mut seen = 0;
            while seen < WRITERS * (EACH - EACH.div_ceil(7)) {
                assert!(map.wait(Duration::from_secs(60)), "a wake-up was lost");
                map.consume(|record| {
                    let i = u32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
                    let writer = record[4] as usize;
                    assert!(i >= next[writer] && i % 7 != 0);
                    assert_eq!(record.len() as u32, 8 + i % 60);
                    assert!(record[4..].iter().all(|&byte| byte as usize == writer));
                    next[writer] = i + 1;
                    seen += 1;
                });
            }
            assert_eq!(next, [EACH; 4].map(|n| if (n - 1) % 7 == 0 { n - 1 } else { n }));
        });
    }
}
