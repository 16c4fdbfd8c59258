//! Gets a vCPU thread out of `KVM_RUN` without a race: a signal whose handler sets `immediate_exit`.
//!
//! If the signal comes before the ioctl the flag makes it return at once; if it comes within, the signal itself does
//! (Linux Documentation/virt/kvm/api.rst, section 5, `immediate_exit`).

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::Once;

use kvm_ioctls::VcpuFd;
use libc::{c_int, c_void, siginfo_t};
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

thread_local! {
    /// `immediate_exit` of the vCPU that runs on this thread.
    static IMMEDIATE_EXIT: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

/// The signal's number.
pub(super) fn signal() -> c_int {
    SIGRTMIN()
}

/// Installs the handler, once per process.
pub(super) fn install() {
    static INSTALLED: Once = Once::new();
    // It can only fail for a number that is no signal.
    INSTALLED.call_once(|| {
        let _ = register_signal_handler(signal(), on_kick);
    });
}

extern "C" fn on_kick(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    IMMEDIATE_EXIT.with(|flag| {
        let flag = flag.get();
        if !flag.is_null() {
            // SAFETY: the pointer is into the kvm_run mapping of the VcpuFd that this thread owns; it is reset to
            // null before that is dropped.
            unsafe { ptr::write_volatile(flag, 1) };
        }
    });
}

/// While it lives, kicks reach this thread's vCPU.
pub(super) struct Registration(PhantomData<*const ()>);

impl Registration {
    pub(super) fn new(vcpu: &mut VcpuFd) -> Self {
        IMMEDIATE_EXIT.with(|flag| flag.set(ptr::from_mut(&mut vcpu.get_kvm_run().immediate_exit)));
        Self(PhantomData)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        IMMEDIATE_EXIT.with(|flag| flag.set(ptr::null_mut()));
    }
}
