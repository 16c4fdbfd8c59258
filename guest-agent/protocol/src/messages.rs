//! The messages: what each request asks, what each answer and event says.
//!
//! Hand-written prost structs, so that the build needs no protoc. A field number is never used again.

/// First frame of the agent on the control connection.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// Version of this protocol.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// CLOCK_BOOTTIME of the guest, nanoseconds.
    #[prost(uint64, tag = "2")]
    pub uptime_ns: u64,
}

/// First frame on a stream connection.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StreamHeader {
    /// The 16 random bytes that the request named.
    #[prost(bytes = "vec", tag = "1")]
    pub token: Vec<u8>,
}

/// Host to agent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(oneof = "request::Body", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 21, 22")]
    pub body: Option<request::Body>,
}

/// The kinds of request.
pub mod request {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Body {
        #[prost(message, tag = "2")]
        Setup(super::Setup),
        #[prost(message, tag = "3")]
        Create(super::Create),
        #[prost(message, tag = "4")]
        Start(super::Start),
        #[prost(message, tag = "5")]
        Exec(super::Exec),
        #[prost(message, tag = "6")]
        Signal(super::Signal),
        #[prost(message, tag = "7")]
        Resize(super::Resize),
        #[prost(message, tag = "8")]
        Stats(super::StatsRequest),
        #[prost(message, tag = "9")]
        Sync(super::Sync),
        #[prost(message, tag = "10")]
        Delete(super::Delete),
        #[prost(message, tag = "20")]
        Update(crate::Update),
        #[prost(message, tag = "21")]
        Processes(crate::ProcessesRequest),
        #[prost(message, tag = "22")]
        Archive(crate::Archive),
    }
}

/// Makes the guest what this start needs: shares, clock, entropy, network.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Setup {
    /// virtio-fs tags to mount at `/run/share/<tag>`.
    #[prost(string, repeated, tag = "1")]
    pub shares: Vec<String>,
    /// CLOCK_REALTIME to step to, nanoseconds; 0 leaves the clock alone.
    #[prost(uint64, tag = "2")]
    pub realtime_ns: u64,
    /// Mixed into and credited to the kernel's pool, at most 512 bytes.
    #[prost(bytes = "vec", tag = "3")]
    pub entropy: Vec<u8>,
    #[prost(string, tag = "4")]
    pub hostname: String,
    #[prost(message, repeated, tag = "5")]
    pub links: Vec<Link>,
}

/// One network interface, found by its MAC.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Link {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub mac: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub mtu: u32,
    /// CIDR notation, either family.
    #[prost(string, repeated, tag = "4")]
    pub addresses: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub routes: Vec<Route>,
}

/// One route; an empty destination is the default route.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Route {
    #[prost(string, tag = "1")]
    pub destination: String,
    #[prost(string, tag = "2")]
    pub gateway: String,
}

/// Where the three streams of a process go. Empty token: /dev/null.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stdio {
    /// One terminal on the stdout token instead of three pipes.
    #[prost(bool, tag = "1")]
    pub terminal: bool,
    #[prost(bytes = "vec", tag = "2")]
    pub stdin: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub stdout: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub stderr: Vec<u8>,
    #[prost(uint32, tag = "5")]
    pub rows: u32,
    #[prost(uint32, tag = "6")]
    pub cols: u32,
}

/// Makes a container from an OCI spec, up to just before its user process.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Create {
    #[prost(string, tag = "1")]
    pub container: String,
    /// The OCI runtime spec, JSON.
    #[prost(bytes = "vec", tag = "2")]
    pub spec: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    pub stdio: Option<Stdio>,
    /// Docker's `USER[:GROUP]`, resolved in the guest against the rootfs.
    #[prost(string, tag = "4")]
    pub user: String,
    #[prost(string, repeated, tag = "5")]
    pub extra_groups: Vec<String>,
    /// A reaping init as PID 1.
    #[prost(bool, tag = "6")]
    pub init: bool,
}

/// Lets the user process run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Start {
    #[prost(string, tag = "1")]
    pub container: String,
}

/// Another process in a running container.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exec {
    #[prost(string, tag = "1")]
    pub container: String,
    /// Names the process in later requests; not empty.
    #[prost(string, tag = "2")]
    pub exec: String,
    /// The OCI `process` object, JSON.
    #[prost(bytes = "vec", tag = "3")]
    pub process: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    pub stdio: Option<Stdio>,
    #[prost(string, tag = "5")]
    pub user: String,
    #[prost(string, repeated, tag = "6")]
    pub extra_groups: Vec<String>,
}

/// An empty `exec` means the container's init.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Signal {
    #[prost(string, tag = "1")]
    pub container: String,
    #[prost(string, tag = "2")]
    pub exec: String,
    #[prost(int32, tag = "3")]
    pub signal: i32,
    /// Every process of the container.
    #[prost(bool, tag = "4")]
    pub all: bool,
}

/// New terminal size.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resize {
    #[prost(string, tag = "1")]
    pub container: String,
    #[prost(string, tag = "2")]
    pub exec: String,
    #[prost(uint32, tag = "3")]
    pub rows: u32,
    #[prost(uint32, tag = "4")]
    pub cols: u32,
}

/// Resource use of a container.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatsRequest {
    #[prost(string, tag = "1")]
    pub container: String,
}

/// Writes back everything cached for the shares.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sync {}

/// Removes what a container left in the guest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Delete {
    #[prost(string, tag = "1")]
    pub container: String,
}

/// Agent to host: an answer (id of the request) or an event (id 0).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Message {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(oneof = "message::Body", tags = "2, 3, 4, 5, 20")]
    pub body: Option<message::Body>,
}

/// The kinds of message.
pub mod message {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Body {
        /// The request was done; `pid` where one was started.
        #[prost(message, tag = "2")]
        Done(super::Done),
        #[prost(message, tag = "3")]
        Failed(super::Failed),
        #[prost(message, tag = "4")]
        Exited(super::Exited),
        #[prost(message, boxed, tag = "5")]
        Stats(Box<super::Stats>),
        #[prost(message, tag = "20")]
        Processes(crate::Processes),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Done {
    #[prost(int32, tag = "1")]
    pub pid: i32,
}

/// The request failed; the text is meant for the user.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Failed {
    #[prost(string, tag = "1")]
    pub message: String,
    /// 125, 126 or 127.
    #[prost(uint32, tag = "2")]
    pub exit_code: u32,
}

/// A process ended.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exited {
    #[prost(string, tag = "1")]
    pub container: String,
    #[prost(string, tag = "2")]
    pub exec: String,
    /// 0-255; 128+n for signal n.
    #[prost(uint32, tag = "3")]
    pub code: u32,
    #[prost(bool, tag = "4")]
    pub oom_killed: bool,
}

/// cgroup v2 figures of a container; what its controllers do not tell is absent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stats {
    #[prost(uint64, optional, tag = "1")]
    pub cpu_usage_us: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub memory_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub memory_limit_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub pids: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub io_read_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    pub io_write_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "7")]
    pub cpu_user_us: Option<u64>,
    #[prost(uint64, optional, tag = "8")]
    pub cpu_system_us: Option<u64>,
    #[prost(uint64, optional, tag = "9")]
    pub cpu_throttled_periods: Option<u64>,
    #[prost(uint64, optional, tag = "10")]
    pub cpu_throttled_us: Option<u64>,
    #[prost(uint64, optional, tag = "11")]
    pub memory_peak_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "12")]
    pub memory_inactive_file_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "13")]
    pub memory_anon_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "14")]
    pub swap_bytes: Option<u64>,
    #[prost(uint64, optional, tag = "15")]
    pub oom_kills: Option<u64>,
    #[prost(uint64, optional, tag = "16")]
    pub pids_limit: Option<u64>,
    /// CPUs of the guest that are online.
    #[prost(uint32, optional, tag = "17")]
    pub online_cpus: Option<u32>,
    /// CPU time of the whole guest, idle time included.
    #[prost(uint64, optional, tag = "18")]
    pub system_cpu_us: Option<u64>,
    /// RAM of the guest.
    #[prost(uint64, optional, tag = "19")]
    pub memory_total_bytes: Option<u64>,
    #[prost(message, repeated, tag = "20")]
    pub interfaces: Vec<crate::Interface>,
}
