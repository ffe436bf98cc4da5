//! A host on tokio: sockets, TLS, clock and disk around one [`Node`]. `community` and `bot` share it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use interbot::link::Binding;
use interbot::node::{Action, Event, LinkId, Node, Output, PersistId, Record};
use interbot::{Instant, UnixMillis};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio_rustls::rustls;

/// The kernel's buffer for what is sent: small, so that backpressure is felt soon. What is received keeps the system's own
/// sizes: a small buffer there is filled by the overhead of many short segments, and the kernel then throws some away.
const SEND_BUFFER: u32 = 64 * 1024;
/// How long a TCP connection with its TLS handshake may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a closed link may take to write its last bytes.
const LINGER: Duration = Duration::from_secs(2);
/// TLS handshakes under way as server; the oldest makes room for another.
const MAX_OPENING: usize = 256;

/// Any stream that a link runs over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The host's clock: nanoseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn now(self) -> Instant {
        Instant::from_nanos(u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn deadline(self, at: Instant) -> tokio::time::Instant {
        (self.0 + Duration::from_nanos(at.as_nanos())).into()
    }
}

/// How often the node is told what people's clocks show.
const TELL_TIME: Duration = Duration::from_secs(60);
/// How often the host looks whether that clock was set, or the machine slept.
const LOOK_AT_TIME: Duration = Duration::from_secs(5);
/// From how far on it was.
const JUMP_MS: u64 = 1_000;

/// What people's clocks show.
pub(crate) fn wall_clock() -> UnixMillis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Says when the node is to be told what people's clocks show.
struct WallWatch {
    told_at: Instant,
    told: UnixMillis,
}

impl WallWatch {
    fn new(clock: Clock) -> Self {
        Self { told_at: clock.now(), told: wall_clock() }
    }

    /// Every minute, and at once when the clock went another way than the host's own.
    fn look(&mut self, now: Instant) -> Option<UnixMillis> {
        let (wall, since) = (wall_clock(), now.since(self.told_at));
        let expected = self.told.0.saturating_add(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let is_due = since >= TELL_TIME || wall.0.abs_diff(expected) >= JUMP_MS;
        is_due.then(|| {
            *self = Self { told_at: now, told: wall };
            wall
        })
    }
}

/// 32 bytes from the system's generator.
pub(crate) fn random_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the system has a random generator");
    seed
}

/// TLS 1.3 with a self-signed certificate that nobody checks: the link inside proves who is there, and the exported secret
/// ties the two together.
#[derive(Clone)]
pub(crate) struct Tls {
    client: tokio_rustls::TlsConnector,
    server: tokio_rustls::TlsAcceptor,
}

impl Tls {
    pub(crate) fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let made = rcgen::generate_simple_self_signed(vec!["interbot".to_string()])?;
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let client = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unchecked(provider)))
            .with_no_client_auth();
        Ok(Self { client: Arc::new(client).into(), server: Arc::new(server).into() })
    }
}

/// Takes any certificate; signatures over the handshake are still checked.
#[derive(Debug)]
struct Unchecked(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        signed: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Listens; accepted sockets inherit the size of the buffer.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = socket_for(address)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn socket_for(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_send_buffer_size(SEND_BUFFER)?;
    Ok(socket)
}

/// Where a host keeps its node's records.
pub(crate) trait Store: Send + 'static {
    /// Makes the records durable, in order, and deletes those whose value is empty; returns when that is done.
    fn put(&mut self, records: &[Record]) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// What happens around the node.
enum Input {
    Bytes(LinkId, Bytes),
    Written(LinkId, usize),
    Ended(LinkId),
    Unreachable(LinkId, std::io::Error),
    Dialled(LinkId, Box<dyn Stream>, Binding),
    Accepted(Box<dyn Stream>, Binding),
    Persisted(PersistId),
}

/// Which records the node gave out, and which of them are durable.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Writes {
    pub(crate) asked: Option<PersistId>,
    pub(crate) durable: Option<PersistId>,
}

/// What the application decides after an event or a command.
#[derive(PartialEq, Eq)]
pub(crate) enum Then {
    GoOn,
    Stop,
}

struct Wire {
    writer: mpsc::UnboundedSender<Bytes>,
    written: JoinHandle<()>,
    read: JoinHandle<()>,
    paused: watch::Sender<bool>,
}

/// One node with its sockets.
pub(crate) struct Host {
    pub(crate) node: Node,
    clock: Clock,
    tls: Option<Tls>,
    wires: HashMap<LinkId, Wire>,
    inputs: mpsc::Sender<Input>,
    queue: mpsc::Receiver<Input>,
    /// Nothing for a bot that lives only as long as its process.
    to_disk: Option<std::sync::mpsc::Sender<(PersistId, Record)>>,
    /// Accepted streams on which TLS is not done yet, the oldest first.
    opening: VecDeque<AbortHandle>,
    /// Why a dial failed, from its end to the event that tells it.
    cause: Option<(LinkId, std::io::Error)>,
    /// Closed links that still write their last bytes.
    closing: JoinSet<()>,
    writes: Writes,
}

impl Host {
    /// A host whose node keeps its records in a store.
    pub(crate) fn new(node: Node, clock: Clock, tls: Option<Tls>, store: impl Store) -> Self {
        let mut host = Self::forgetful(node, clock, tls);
        let (to_disk, writes) = std::sync::mpsc::channel();
        let persisted = host.inputs.clone();
        std::thread::spawn(move || write_records(store, &writes, &persisted));
        host.to_disk = Some(to_disk);
        host
    }

    /// A host that keeps nothing, for bots that live only as long as their process.
    pub(crate) fn forgetful(node: Node, clock: Clock, tls: Option<Tls>) -> Self {
        let (inputs, queue) = mpsc::channel(64);
        Self {
            node,
            clock,
            tls,
            wires: HashMap::new(),
            inputs,
            queue,
            to_disk: None,
            opening: VecDeque::new(),
            cause: None,
            closing: JoinSet::new(),
            writes: Writes::default(),
        }
    }

    /// Runs the node until the application says stop. `on_event` sees every event, with the system's word on why a
    /// dial failed, `on_command` every command; both have the node at hand.
    pub(crate) async fn run<C>(
        &mut self,
        listener: Option<TcpListener>,
        commands: mpsc::Receiver<C>,
        on_event: impl FnMut(&mut Node, Instant, Event, Option<std::io::Error>) -> Then,
        on_command: impl FnMut(&mut Node, Instant, C) -> Then,
    ) {
        self.run_with(listener, commands, on_event, on_command, |_| {}).await;
    }

    /// The same, and `on_idle` hears after all that was to be done which records are durable: for what may be shown only then.
    pub(crate) async fn run_with<C>(
        &mut self,
        listener: Option<TcpListener>,
        mut commands: mpsc::Receiver<C>,
        mut on_event: impl FnMut(&mut Node, Instant, Event, Option<std::io::Error>) -> Then,
        mut on_command: impl FnMut(&mut Node, Instant, C) -> Then,
        mut on_idle: impl FnMut(Writes),
    ) {
        let mut accept_from = tokio::time::Instant::now();
        let mut wall = WallWatch::new(self.clock);
        let mut look = tokio::time::interval(LOOK_AT_TIME);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let wake_at = loop {
                match self.node.poll() {
                    Output::Do(Action::Notify(event)) => {
                        let cause = self.cause_of(&event);
                        if on_event(&mut self.node, self.clock.now(), event, cause) == Then::Stop {
                            return self.stop(on_event).await;
                        }
                    }
                    Output::Do(action) => self.carry_out(action),
                    Output::Idle { wake_at } => break wake_at,
                }
            };
            on_idle(self.writes);
            let sleep = async {
                match wake_at {
                    Some(at) => tokio::time::sleep_until(self.clock.deadline(at)).await,
                    None => std::future::pending().await,
                }
            };
            let accept = async {
                match &listener {
                    Some(listener) => {
                        tokio::time::sleep_until(accept_from).await;
                        listener.accept().await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(input) = self.queue.recv() => {
                    // Links that are done leave no trace.
                    while self.closing.try_join_next().is_some() {}
                    self.take(input);
                    // What came meanwhile belongs to the same batch: fewer, larger writes.
                    for _ in 0..32 {
                        let Ok(input) = self.queue.try_recv() else { break };
                        self.take(input);
                    }
                }
                command = commands.recv() => match command {
                    Some(command) => {
                        if on_command(&mut self.node, self.clock.now(), command) == Then::Stop {
                            return self.stop(on_event).await;
                        }
                    }
                    None => return self.stop(on_event).await,
                },
                accepted = accept => match accepted {
                    Ok((stream, _)) => self.accept(stream),
                    // Out of descriptors, most likely: let some close first.
                    Err(_) => accept_from = tokio::time::Instant::now() + Duration::from_millis(50),
                },
                _ = look.tick() => {
                    let now = self.clock.now();
                    if let Some(time) = wall.look(now) {
                        self.node.set_wall_clock(now, time);
                    }
                }
                () = sleep => self.node.handle_timeout(self.clock.now()),
            }
        }
    }

    /// Closes all links with their reason, tells the application, and writes what is still to be written.
    async fn stop(&mut self, mut on_event: impl FnMut(&mut Node, Instant, Event, Option<std::io::Error>) -> Then) {
        self.node.shut_down(self.clock.now());
        while let Output::Do(action) = self.node.poll() {
            match action {
                Action::Notify(event) => drop(on_event(&mut self.node, self.clock.now(), event, None)),
                action => self.carry_out(action),
            }
        }
        while self.closing.join_next().await.is_some() {}
    }

    fn cause_of(&mut self, event: &Event) -> Option<std::io::Error> {
        let closed =
            |(link, _): &mut (LinkId, _)| matches!(event, Event::Closed { link: closed, .. } if closed == link);
        self.cause.take_if(closed).map(|(_, cause)| cause)
    }

    fn take(&mut self, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Bytes(link, bytes) => {
                self.node.handle_bytes(now, link, &bytes).expect("outputs are drained after every batch");
            }
            Input::Written(link, bytes) => self.node.handle_written(now, link, bytes),
            Input::Ended(link) => {
                self.let_go(link);
                self.node.handle_ended(now, link);
            }
            Input::Unreachable(link, cause) => {
                self.cause = Some((link, cause));
                self.node.handle_ended(now, link);
            }
            // The node may have given up this link meanwhile.
            Input::Dialled(link, ..) if !self.node.links().any(|info| info.link == link) => {}
            Input::Dialled(link, stream, binding) => {
                self.start_wire(link, stream);
                self.node.handle_dialled(now, link, binding);
            }
            Input::Accepted(stream, binding) => {
                // Refused: the stream is closed by dropping it.
                if let Ok(link) = self.node.handle_accepted(now, binding) {
                    self.start_wire(link, stream);
                }
            }
            Input::Persisted(id) => {
                self.writes.durable = Some(id);
                self.node.persisted(now, id);
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Send { link, bytes } => {
                if let Some(wire) = self.wires.get(&link) {
                    // A writer that is gone reports the end of its link by itself.
                    let _ = wire.writer.send(bytes);
                }
            }
            Action::CloseLink { link } => self.let_go(link),
            Action::Dial { link, address, .. } => {
                let (inputs, tls) = (self.inputs.clone(), self.tls.clone());
                tokio::spawn(async move {
                    let opened = tokio::time::timeout(OPEN_TIMEOUT, dial(&address, tls)).await;
                    let input = match opened {
                        Ok(Ok((stream, binding))) => Input::Dialled(link, stream, binding),
                        Ok(Err(cause)) => Input::Unreachable(link, cause),
                        Err(_) => Input::Unreachable(link, std::io::ErrorKind::TimedOut.into()),
                    };
                    let _ = inputs.send(input).await;
                });
            }
            Action::PauseReading { link } => self.set_paused(link, true),
            Action::ResumeReading { link } => self.set_paused(link, false),
            Action::Persist { id, record } => {
                self.writes.asked = Some(id);
                match &self.to_disk {
                    Some(disk) => disk.send((id, record)).expect("the disk thread lives as long as its host"),
                    None => {
                        self.writes.durable = Some(id);
                        self.node.persisted(self.clock.now(), id);
                    }
                }
            }
            Action::Notify(_) => {}
        }
    }

    /// Ends a stream: what was handed to its writer may still leave, for a few seconds and no longer.
    fn let_go(&mut self, link: LinkId) {
        let Some(Wire { writer, written, read, .. }) = self.wires.remove(&link) else { return };
        read.abort();
        drop(writer);
        let abort = written.abort_handle();
        self.closing.spawn(async move {
            if tokio::time::timeout(LINGER, written).await.is_err() {
                abort.abort();
            }
        });
    }

    fn set_paused(&self, link: LinkId, paused: bool) {
        if let Some(wire) = self.wires.get(&link) {
            wire.paused.send_replace(paused);
        }
    }

    /// Starts TLS with whoever knocks. When too many do, the oldest that is not done makes room, as in the node: idle
    /// connections keep nobody out.
    fn accept(&mut self, stream: TcpStream) {
        self.opening.retain(|task| !task.is_finished());
        if self.opening.len() >= MAX_OPENING
            && let Some(oldest) = self.opening.pop_front()
        {
            oldest.abort();
        }
        let (inputs, tls) = (self.inputs.clone(), self.tls.clone());
        let task = tokio::spawn(async move {
            let opened = tokio::time::timeout(OPEN_TIMEOUT, accept(stream, tls)).await;
            if let Ok(Ok((stream, binding))) = opened {
                let _ = inputs.send(Input::Accepted(stream, binding)).await;
            }
        });
        self.opening.push_back(task.abort_handle());
    }

    fn start_wire(&mut self, link: LinkId, stream: Box<dyn Stream>) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (to_writer, mut to_write) = mpsc::unbounded_channel::<Bytes>();
        let (paused, mut is_paused) = watch::channel(false);
        let inputs = self.inputs.clone();
        let written = tokio::spawn(async move {
            while let Some(bytes) = to_write.recv().await {
                // In small parts, each reported: a slow peer is judged by what was written.
                for part in bytes.chunks(8 * 1024) {
                    if writer.write_all(part).await.is_err() || writer.flush().await.is_err() {
                        let _ = inputs.send(Input::Ended(link)).await;
                        return;
                    }
                    if inputs.send(Input::Written(link, part.len())).await.is_err() {
                        return;
                    }
                }
            }
            let _ = writer.shutdown().await;
        });
        let inputs = self.inputs.clone();
        let read = tokio::spawn(async move {
            let mut buffer = vec![0; 8 * 1024];
            loop {
                if is_paused.wait_for(|paused| !paused).await.is_err() {
                    return;
                }
                let input = match reader.read(&mut buffer).await {
                    Ok(n) if n > 0 => Input::Bytes(link, Bytes::copy_from_slice(&buffer[..n])),
                    _ => Input::Ended(link),
                };
                let ended = matches!(input, Input::Ended(_));
                if inputs.send(input).await.is_err() || ended {
                    return;
                }
            }
        });
        self.wires.insert(link, Wire { writer: to_writer, written, read, paused });
    }
}

/// Connects to the first that answers of several addresses with commas between them; names may stand for several more.
async fn connect(addresses: &str) -> std::io::Result<TcpStream> {
    let mut failure = std::io::ErrorKind::NotFound.into();
    for name in addresses.split(',') {
        let found = match tokio::net::lookup_host(name).await {
            Ok(found) => found,
            Err(error) => {
                failure = error;
                continue;
            }
        };
        for address in found {
            match socket_for(address)?.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

/// Opens a stream to an address, with TLS or bare.
pub(crate) async fn dial(address: &str, tls: Option<Tls>) -> std::io::Result<(Box<dyn Stream>, Binding)> {
    let stream = connect(address).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok((Box::new(stream), Binding::None)) };
    let name = rustls::pki_types::ServerName::try_from("interbot").expect("a valid name");
    let stream = tls.client.connect(name, stream).await?;
    let secret = export(stream.get_ref().1)?;
    Ok((Box::new(stream), Binding::TlsExporter(secret)))
}

async fn accept(stream: TcpStream, tls: Option<Tls>) -> std::io::Result<(Box<dyn Stream>, Binding)> {
    stream.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok((Box::new(stream), Binding::None)) };
    let stream = tls.server.accept(stream).await?;
    let secret = export(stream.get_ref().1)?;
    Ok((Box::new(stream), Binding::TlsExporter(secret)))
}

fn export<D>(tls: &rustls::ConnectionCommon<D>) -> std::io::Result<[u8; 32]> {
    tls.export_keying_material([0; 32], Binding::TLS_LABEL, Some(&[])).map_err(std::io::Error::other)
}

/// Writes records in batches: while one is being made durable, the next gathers.
fn write_records(
    mut store: impl Store,
    writes: &std::sync::mpsc::Receiver<(PersistId, Record)>,
    done: &mpsc::Sender<Input>,
) {
    while let Ok((mut last, record)) = writes.recv() {
        let mut records = vec![record];
        while let Ok((id, record)) = writes.try_recv() {
            last = id;
            records.push(record);
        }
        if let Err(error) = store.put(&records) {
            // Nothing that waits for these records may ever be sent.
            eprintln!("the records cannot be written: {error}; free the disk and start again");
            std::process::exit(1);
        }
        if done.blocking_send(Input::Persisted(last)).is_err() {
            return;
        }
    }
}
