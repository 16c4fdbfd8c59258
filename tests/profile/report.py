"""What lab-profile collected, as text: report.py SYSTEM.MAP DIRECTORY RUNS."""

import bisect
import collections
import re
import sys

GUEST_KERNEL = range(0xFFFFFFFF81000000, 0xFFFFFFFF83000000)
# below 4 GiB: virtio windows, IO-APIC, local APIC
DEVICES = range(0xC0000000, 0x100000000)
KERNEL_SPACE = 0xFFFF800000000000
ROWS = 60


class Symbols:
    """Function names by address, from a System.map or /proc/kallsyms."""

    def __init__(self, path):
        pairs = []
        for line in open(path):
            fields = line.split()
            if len(fields) >= 3 and fields[1] in "tTwW":
                pairs.append((int(fields[0], 16), fields[2]))
        pairs.sort()
        self.addresses = [a for a, _ in pairs]
        self.names = [n for _, n in pairs]

    def at(self, address):
        i = bisect.bisect(self.addresses, address) - 1
        return self.names[i] if i >= 0 else hex(address)


def load(path):
    return {int(a, 16): int(c) for a, c in (line.split() for line in open(path))}


def table(title, counter, rows=ROWS):
    print(f"\n{title}")
    for name, count in sorted(counter.items(), key=lambda item: -item[1])[:rows]:
        print(f"{count:12.0f}  {name}")


def instructions(directory, runs, guest, host):
    before, after = load(f"{directory}/counts.1"), load(f"{directory}/counts.2")
    totals, of_guest, of_host = collections.Counter(), collections.Counter(), collections.Counter()
    for address, count in after.items():
        count = (count - before.get(address, 0)) / runs
        if address in GUEST_KERNEL:
            totals["guest kernel"] += count
            of_guest[guest.at(address)] += count
        elif address >= KERNEL_SPACE:
            totals["host kernel"] += count
            of_host[host.at(address)] += count
        else:
            totals["programs, on both sides"] += count
    totals["all"] = sum(totals.values())
    table("instructions of a run", totals)
    table("guest kernel", of_guest)
    table("host kernel", of_host)


def trace(directory, guest):
    exits, places = collections.Counter(), collections.defaultdict(collections.Counter)
    touched, by = collections.Counter(), collections.defaultdict(collections.Counter)

    def name(rip):
        return guest.at(rip) if rip in GUEST_KERNEL else "other code"

    for line in open(f"{directory}/trace", errors="replace"):
        if found := re.search(r"kvm_exit:.*reason (\S+) rip (0x[0-9a-f]+)", line):
            exits[found[1]] += 1
            places[found[1]][name(int(found[2], 16))] += 1
        elif found := re.search(r"kvm_page_fault:.*rip (0x[0-9a-f]+) address (0x[0-9a-f]+)", line):
            address = int(found[2], 16)
            if address in DEVICES:
                continue
            region = address >> 21
            touched[region] += 1
            by[region][name(int(found[1], 16))] += 1

    def most(counter):
        return ", ".join(f"{n} {c}" for n, c in counter.most_common(12))

    print(f"\nexits of one run: {sum(exits.values())}")
    for reason, count in exits.most_common(12):
        print(f"{count:7}  {reason}: {most(places[reason])}")
    print(f"\nfaults on guest memory: {sum(touched.values())} in {len(touched)} regions of 2 MiB")
    for region in sorted(touched):
        print(f"{touched[region]:7}  at {region * 2} MiB: {most(by[region])}")


def main():
    system_map, directory, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    guest, host = Symbols(system_map), Symbols(f"{directory}/kallsyms")
    kernel = [a for a, n in zip(host.addresses, host.names) if n == "_stext"]
    if kernel and kernel[0] in GUEST_KERNEL:
        sys.exit("lab-profile: the machine's kernel landed where the guest's lies; try again")
    instructions(directory, runs, guest, host)
    trace(directory, guest)


main()
