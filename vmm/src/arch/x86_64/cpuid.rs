//! What CPUID tells the guest: what KVM supports, minus what is not for guests, plus our topology.
//!
//! One package, one core per vCPU, no SMT: the guest's scheduler then makes no wrong assumption about siblings.
//! Refuses nested virtualization, the PMU and SGX, which nobody here asks for and which widen the kernel's surface.

use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, Kvm};

const VMX: u32 = 1 << 5;
const TSC_DEADLINE: u32 = 1 << 24;
const OSXSAVE: u32 = 1 << 27;
const HYPERVISOR: u32 = 1 << 31;
const HTT: u32 = 1 << 28;
const SVM: u32 = 1 << 2;
const CMP_LEGACY: u32 = 1 << 1;
const SGX: u32 = 1 << 2;
const SGX_LAUNCH: u32 = 1 << 30;
const ARAT: u32 = 1 << 2;
const AMD_PERF_CORE: u32 = 1 << 23;

const LEVEL_SMT: u32 = 1;
const LEVEL_CORE: u32 = 2;

/// What KVM offers on this host, filtered; the same for all vCPUs of a machine but for [`for_cpu`].
#[derive(Debug, Clone)]
pub struct Template {
    entries: Vec<kvm_cpuid_entry2>,
}

impl Template {
    /// Asks KVM.
    ///
    /// # Errors
    /// If the ioctl fails.
    pub fn new(kvm: &Kvm) -> Result<Self, kvm_ioctls::Error> {
        let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
        Ok(Self::filter(supported.as_slice(), kvm.check_extension(Cap::TscDeadlineTimer)))
    }

    fn filter(supported: &[kvm_cpuid_entry2], tsc_deadline: bool) -> Self {
        let mut entries = supported.to_vec();
        // Topology is written anew for each vCPU.
        entries.retain(|e| !matches!(e.function, 0xb | 0x1f));
        for entry in &mut entries {
            match entry.function {
                1 => {
                    entry.ecx &= !(VMX | OSXSAVE);
                    entry.ecx |= HYPERVISOR | if tsc_deadline { TSC_DEADLINE } else { 0 };
                }
                // Processor serial number, PMU, SGX, SVM, AMD PMU, memory encryption.
                3 | 0xa | 0x12 | 0x8000_000a | 0x8000_001f | 0x8000_0022 => clear(entry),
                // The LAPIC timer never stops in a guest; without this bit Linux wants a PIT.
                6 => entry.eax |= ARAT,
                7 if entry.index == 0 => {
                    entry.ebx &= !SGX;
                    entry.ecx &= !SGX_LAUNCH;
                }
                0x8000_0001 => entry.ecx &= !(SVM | AMD_PERF_CORE),
                _ => {}
            }
        }
        Self { entries }
    }

    /// The list for the vCPU with APIC id `id` out of `count`.
    ///
    /// # Errors
    /// If there are more entries than KVM takes.
    pub fn for_cpu(&self, id: u8, count: u8) -> Result<CpuId, kvm_ioctls::Error> {
        let mut entries = self.entries.clone();
        let (apic, cores) = (u32::from(id), u32::from(count));
        let width = apic_id_width(count);
        let basic_max = entries.iter().find(|e| e.function == 0).map_or(0, |e| e.eax);
        for entry in &mut entries {
            match entry.function {
                1 => {
                    entry.ebx = entry.ebx & 0xffff | cores << 16 | apic << 24;
                    entry.edx = if count > 1 { entry.edx | HTT } else { entry.edx & !HTT };
                }
                4 => share_cache(entry, cores, width),
                0x8000_0001 if count > 1 => entry.ecx |= CMP_LEGACY,
                0x8000_0001 => entry.ecx &= !CMP_LEGACY,
                0x8000_0008 => entry.ecx = width << 12 | (cores - 1),
                0x8000_001d if (entry.eax & 0x1f) != 0 => {
                    let level = entry.eax >> 5 & 7;
                    entry.eax = entry.eax & 0x3fff | sharers(level, cores) << 14;
                }
                0x8000_001e => (entry.eax, entry.ebx, entry.ecx) = (apic, apic & 0xff, 0),
                _ => {}
            }
        }
        if basic_max >= 0xb {
            let level = |index, eax, ebx, kind: u32| kvm_cpuid_entry2 {
                function: 0xb,
                index,
                flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                eax,
                ebx,
                ecx: kind << 8 | index,
                edx: apic,
                ..Default::default()
            };
            entries.push(level(0, 0, 1, LEVEL_SMT));
            entries.push(level(1, width, cores, LEVEL_CORE));
            entries.push(level(2, 0, 0, 0));
        }
        CpuId::from_entries(&entries).map_err(|_| kvm_ioctls::Error::new(libc::E2BIG))
    }
}

fn clear(entry: &mut kvm_cpuid_entry2) {
    (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0);
}

/// Bits that APIC ids 0 to `count` - 1 need.
fn apic_id_width(count: u8) -> u32 {
    u32::from(count).next_power_of_two().trailing_zeros()
}

/// Number of vCPUs that share a cache of this level, minus one: the third and later are the package's.
fn sharers(level: u32, cores: u32) -> u32 {
    if level >= 3 { cores - 1 } else { 0 }
}

/// Intel leaf 4: sharing of each cache and the number of core ids in the package.
fn share_cache(entry: &mut kvm_cpuid_entry2, cores: u32, width: u32) {
    let cache_type = entry.eax & 0x1f;
    if cache_type == 0 {
        return;
    }
    let core_ids = ((1_u32 << width) - 1).min(0x3f);
    let shared = if sharers(entry.eax >> 5 & 7, cores) > 0 { (1_u32 << width) - 1 } else { 0 };
    entry.eax = entry.eax & 0x3fff | shared.min(0xfff) << 14 | core_ids << 26;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, eax: u32, ebx: u32, ecx: u32, edx: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 { function, eax, ebx, ecx, edx, ..Default::default() }
    }

    fn host() -> Vec<kvm_cpuid_entry2> {
        vec![
            entry(0, 0x16, 0, 0, 0),
            entry(1, 0, 0x0910_0800, VMX | OSXSAVE, HTT),
            entry(4, 0x143 | 0xffff_c000, 0, 0, 0),
            entry(0xa, 7, 7, 7, 7),
            entry(0xb, 1, 2, 3, 4),
            entry(0x8000_0001, 0, 0, SVM, 0),
            entry(0x8000_0008, 0, 0, 0xffff, 0),
        ]
    }

    fn find(cpuid: &CpuId, function: u32, index: u32) -> kvm_cpuid_entry2 {
        *cpuid.as_slice().iter().find(|e| e.function == function && e.index == index).unwrap()
    }

    #[test]
    fn nested_virtualization_and_pmu_are_hidden() {
        let cpuid = Template::filter(&host(), true).for_cpu(0, 1).unwrap();
        let one = find(&cpuid, 1, 0);
        assert_eq!(one.ecx, HYPERVISOR | TSC_DEADLINE);
        assert_eq!(one.edx & HTT, 0, "a single vCPU has no siblings");
        assert_eq!(find(&cpuid, 0xa, 0).eax, 0);
        assert_eq!(find(&cpuid, 0x8000_0001, 0).ecx, 0);
    }

    #[test]
    fn each_cpu_gets_its_own_apic_id() {
        let template = Template::filter(&host(), true);
        for id in 0..5 {
            let cpuid = template.for_cpu(id, 5).unwrap();
            assert_eq!(find(&cpuid, 1, 0).ebx, u32::from(id) << 24 | 5 << 16 | 0x0800);
            assert_eq!(find(&cpuid, 0xb, 1).edx, u32::from(id));
            assert_eq!((find(&cpuid, 0xb, 1).eax, find(&cpuid, 0xb, 1).ebx), (3, 5));
            assert_eq!(find(&cpuid, 0x8000_0008, 0).ecx, 3 << 12 | 4);
            assert_eq!(find(&cpuid, 4, 0).eax >> 26, 7);
        }
    }

    #[test]
    fn widths() {
        assert_eq!([1, 2, 3, 4, 5, 254].map(apic_id_width), [0, 1, 2, 2, 3, 8]);
    }
}
