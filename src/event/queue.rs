use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use futures_timer::Delay;

use super::{Event, Observer, observer::tell};

/// How many events wait for one observer, and how many bytes they take. Further ones are let go, and the observer is
/// told how many. One that takes more alone waits if no other does.
const CAPACITY: usize = 4_096;
const MOST_BYTES: usize = 16 * 1_024 * 1_024;
/// How often it is looked whether an observer has been told everything.
const PAUSE: Duration = Duration::from_millis(2);

/// The events that wait for an observer, which a thread of its own tells it.
pub(crate) struct Queue {
    sender: SyncSender<Event>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    put: AtomicU64,
    delivered: AtomicU64,
    dropped: AtomicU64,
    /// The bytes of the events that wait.
    bytes: AtomicUsize,
}

impl Queue {
    /// Starts the thread. It ends when the queue is dropped and everything is told.
    pub(crate) fn start(observer: Box<dyn Observer>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let counts = Arc::<Counts>::default();
        let delivered = counts.clone();
        let thread = thread::Builder::new().name("keyfob-observer".to_owned());
        thread.spawn(move || run(&*observer, &receiver, &delivered))?;
        Ok(Self { sender, counts })
    }

    /// Puts an event in, and waits for nothing.
    pub(super) fn put(&self, event: &Event) {
        let counts = &*self.counts;
        let is_put = counts.take_room(event.weight()) && {
            let sent = self.sender.try_send(event.clone());
            sent.inspect_err(|_| counts.give_room(event.weight())).is_ok()
        };
        let count = if is_put { &counts.put } else { &counts.dropped };
        count.fetch_add(1, SeqCst);
    }

    /// Waits until the observer has been told all that was put in before.
    pub(crate) async fn drained(&self) {
        let put = self.counts.put.load(SeqCst);
        while self.counts.delivered.load(SeqCst) < put {
            Delay::new(PAUSE).await;
        }
    }
}

impl Counts {
    fn take_room(&self, bytes: usize) -> bool {
        let taken = self.bytes.fetch_update(SeqCst, SeqCst, |taken| {
            let all = taken.saturating_add(bytes);
            (taken == 0 || all <= MOST_BYTES).then_some(all)
        });
        taken.is_ok()
    }

    fn give_room(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, SeqCst);
    }
}

fn run(observer: &dyn Observer, events: &Receiver<Event>, counts: &Counts) {
    for event in events {
        tell(observer, &event);
        counts.give_room(event.weight());
        tell_of_dropped(observer, counts);
        counts.delivered.fetch_add(1, SeqCst);
    }
    // One may have been let go, and not yet counted, when it was last looked.
    tell_of_dropped(observer, counts);
}

fn tell_of_dropped(observer: &dyn Observer, counts: &Counts) {
    let events = counts.dropped.swap(0, SeqCst);
    if events > 0 {
        tell(observer, &Event::EventsDropped { events });
    }
}
