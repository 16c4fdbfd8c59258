//! Runs a vCPU and handles its exits until one ends the machine or a kick interrupts it.

use kvm_bindings::{KVM_SYSTEM_EVENT_CRASH, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::Buses;
use crate::bus::Outcome;
use crate::control::ExitReason;

/// Returns why the machine has to stop, or `None` after a kick.
pub(super) fn run_until_exit(vcpu: &mut VcpuFd, buses: &Buses) -> Option<ExitReason> {
    loop {
        match vcpu.run() {
            Ok(exit) => match dispatch(exit, buses) {
                Verdict::Continue => {}
                Verdict::Stop(reason) => return Some(reason),
                Verdict::Broken(what) => return Some(ExitReason::Error(describe(vcpu, &what))),
            },
            Err(error) if error.errno() == libc::EINTR => {
                vcpu.set_kvm_immediate_exit(0);
                return None;
            }
            Err(error) if error.errno() == libc::EAGAIN => {}
            Err(error) => return Some(ExitReason::Error(describe(vcpu, &run_failed(error)))),
        }
    }
}

enum Verdict {
    Continue,
    Stop(ExitReason),
    /// KVM cannot go on; the text says why.
    Broken(String),
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Continue => Self::Continue,
            Outcome::Stop(reason) => Self::Stop(reason),
        }
    }
}

fn dispatch(exit: VcpuExit<'_>, buses: &Buses) -> Verdict {
    match exit {
        VcpuExit::IoOut(port, data) => buses.ports.write(u64::from(port), data).into(),
        VcpuExit::IoIn(port, data) => {
            buses.ports.read(u64::from(port), data);
            Verdict::Continue
        }
        VcpuExit::MmioWrite(address, data) => buses.mmio.write(address, data).into(),
        VcpuExit::MmioRead(address, data) => {
            buses.mmio.read(address, data);
            Verdict::Continue
        }
        // Only without the in-kernel interrupt controller: with it KVM waits for the next interrupt itself.
        VcpuExit::Hlt => Verdict::Stop(ExitReason::Halt),
        VcpuExit::Shutdown => Verdict::Stop(ExitReason::Shutdown),
        VcpuExit::SystemEvent(kind, _) => match kind {
            KVM_SYSTEM_EVENT_SHUTDOWN => Verdict::Stop(ExitReason::Shutdown),
            KVM_SYSTEM_EVENT_RESET => Verdict::Stop(ExitReason::Reset),
            KVM_SYSTEM_EVENT_CRASH => Verdict::Broken("the guest reported a crash".to_owned()),
            other => Verdict::Broken(format!("unknown KVM system event {other}")),
        },
        VcpuExit::Intr | VcpuExit::IrqWindowOpen => Verdict::Continue,
        VcpuExit::FailEntry(reason, cpu) => {
            Verdict::Broken(format!("the processor refused to enter the guest (reason {reason:#x} on host CPU {cpu})"))
        }
        VcpuExit::InternalError => Verdict::Broken(
            "KVM internal error, most likely an instruction that it cannot emulate; the host's KVM may not be able \
             to run Linux guests"
                .to_owned(),
        ),
        VcpuExit::MemoryFault { gpa, size, .. } => {
            Verdict::Broken(format!("KVM has no memory for guest address {gpa:#x} ({size} bytes)"))
        }
        other => Verdict::Broken(format!("unexpected KVM exit {other:?}")),
    }
}

fn run_failed(error: kvm_ioctls::Error) -> String {
    match error.errno() {
        libc::EFAULT | libc::ENOMEM => {
            format!("KVM_RUN: {error}: no memory for the guest; the host or the cgroup is out of memory")
        }
        _ => format!("KVM_RUN: {error}"),
    }
}

/// Adds where the processor was.
fn describe(vcpu: &VcpuFd, what: &str) -> String {
    match (vcpu.get_regs(), vcpu.get_sregs()) {
        (Ok(r), Ok(s)) => format!(
            "{what}; rip={:#x} rsp={:#x} rflags={:#x} rax={:#x} rbx={:#x} rcx={:#x} rdx={:#x} rsi={:#x} rdi={:#x} \
             cs={:#x}:{:#x} cr0={:#x} cr2={:#x} cr3={:#x} cr4={:#x} efer={:#x}",
            r.rip,
            r.rsp,
            r.rflags,
            r.rax,
            r.rbx,
            r.rcx,
            r.rdx,
            r.rsi,
            r.rdi,
            s.cs.selector,
            s.cs.base,
            s.cr0,
            s.cr2,
            s.cr3,
            s.cr4,
            s.efer
        ),
        _ => format!("{what}; the registers cannot be read"),
    }
}
