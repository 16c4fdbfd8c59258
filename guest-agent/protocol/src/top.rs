//! The messages about a container that runs: its limits, its processes.

/// Changes limits of a running container in the guest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Update {
    #[prost(string, tag = "1")]
    pub container: String,
    /// The OCI `linux.resources` object, JSON; what it does not name stays as it is.
    #[prost(bytes = "vec", tag = "2")]
    pub resources: Vec<u8>,
}

/// Asks for processes of a container, as many as there is room for in an answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProcessesRequest {
    #[prost(string, tag = "1")]
    pub container: String,
    /// Only those with larger PIDs.
    #[prost(int32, tag = "2")]
    pub after: i32,
}

/// Processes in the order of their PIDs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Processes {
    #[prost(message, repeated, tag = "1")]
    pub list: Vec<Process>,
    /// RAM of the guest.
    #[prost(uint64, tag = "2")]
    pub memory_total_bytes: u64,
    /// There are others with larger PIDs.
    #[prost(bool, tag = "3")]
    pub more: bool,
}

/// One process, with PIDs of the guest's first namespace.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Process {
    #[prost(int32, tag = "1")]
    pub pid: i32,
    #[prost(int32, tag = "2")]
    pub ppid: i32,
    #[prost(uint32, tag = "3")]
    pub uid: u32,
    #[prost(uint32, tag = "4")]
    pub gid: u32,
    #[prost(int32, tag = "5")]
    pub pgid: i32,
    #[prost(int32, tag = "6")]
    pub sid: i32,
    /// Empty without a terminal.
    #[prost(string, tag = "7")]
    pub tty: String,
    #[prost(string, tag = "8")]
    pub stat: String,
    #[prost(int32, tag = "9")]
    pub nice: i32,
    #[prost(uint32, tag = "10")]
    pub threads: u32,
    /// Since 1970.
    #[prost(uint64, tag = "11")]
    pub start_ns: u64,
    #[prost(uint64, tag = "12")]
    pub elapsed_ns: u64,
    #[prost(uint64, tag = "13")]
    pub cpu_ns: u64,
    #[prost(uint64, tag = "14")]
    pub rss_bytes: u64,
    #[prost(uint64, tag = "15")]
    pub vsz_bytes: u64,
    #[prost(string, tag = "16")]
    pub comm: String,
    #[prost(string, tag = "17")]
    pub args: String,
}

/// Counters of one network interface.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Interface {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint64, tag = "2")]
    pub rx_bytes: u64,
    #[prost(uint64, tag = "3")]
    pub rx_packets: u64,
    #[prost(uint64, tag = "4")]
    pub rx_errors: u64,
    #[prost(uint64, tag = "5")]
    pub rx_dropped: u64,
    #[prost(uint64, tag = "6")]
    pub tx_bytes: u64,
    #[prost(uint64, tag = "7")]
    pub tx_packets: u64,
    #[prost(uint64, tag = "8")]
    pub tx_errors: u64,
    #[prost(uint64, tag = "9")]
    pub tx_dropped: u64,
}
