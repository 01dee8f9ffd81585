import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;

/** What happened in simulated schedules, counted, so that a simulation in which something no longer happens is noticed. */
final class Coverage {

    /** What the electors did. */
    enum Deed {
        /** The Lease was won, in whatever way. */
        WIN,
        /** Won from a holder that did not renew for the recorded duration. */
        WIN_AFTER_EXPIRY,
        /** Won from a holder whose pod is gone. */
        WIN_FROM_GONE,
        /** Won back by a restarted container of the same pod. */
        RESUME,
        PROMOTION,
        /** A busy pod was labelled that had been announced. */
        ANNOUNCED_PROMOTION,
        FENCE,
        /** A fence met a pod that had changed. */
        FENCE_CONFLICT,
        /** A {@code true} was refused because its pod had changed. */
        PROMOTION_CONFLICT,
        SELF_FENCE,
        RELEASE,
        /** A renewal met a Lease that had changed. */
        LEASE_CONFLICT,
        /** The label moved without a fault, and the trace was checked. */
        HANDOVER,
        /** The same with a successor that had been waiting for long: it had to take over, and within a second. */
        EXPECTED_HANDOVER,
        GIVE_BACK,
        STEP_DOWN,
        /** The Lease was offered to the preferred leader. */
        OFFER,
        /** etcd was put back to a backup. */
        RESTORE,
        NOT_SENT,
        /** The process of a replaced or deleted pod ended by itself. */
        EXIT_GONE,
        /** A schedule that ended with a leader. */
        SETTLED,
        /** A schedule that ended without anybody who could lead. */
        NOBODY_LEFT
    }

    private final long[] deeds = new long[Deed.values().length];
    private final long[] faults = new long[Fault.values().length];
    private Combinations combinations;
    private long steps;
    private long schedules;
    private long slowest;

    void count(Deed deed) {
        deeds[deed.ordinal()]++;
    }

    void countIf(boolean happened, Deed deed) {
        if (happened) {
            count(deed);
        }
    }

    void count(Fault fault) {
        faults[fault.ordinal()]++;
    }

    /** One event of an elector or one operation of the API server. */
    void step() {
        steps++;
    }

    void endOfSchedule() {
        schedules++;
    }

    /** Nanoseconds from the end of the faults to a leader that stays, as a share of the longest lease-duration, in per mille. */
    void settledAfter(long perMille) {
        slowest = Math.max(slowest, perMille);
    }

    void add(Coverage other) {
        if (other.combinations != null) {
            combinations().add(other.combinations);
        } else if (other.schedules == 1) {
            combinations().note(other.present());
        }
        Arrays.setAll(deeds, i -> deeds[i] + other.deeds[i]);
        Arrays.setAll(faults, i -> faults[i] + other.faults[i]);
        steps += other.steps;
        schedules += other.schedules;
        slowest = Math.max(slowest, other.slowest);
    }

    /** Which faults occurred together in one schedule, of those that were added to this. */
    Combinations combinations() {
        combinations = combinations == null ? new Combinations() : combinations;
        return combinations;
    }

    /** Faults that occurred, as bits. */
    private long present() {
        long present = 0;
        for (int i = 0; i < faults.length; i++) {
            present |= faults[i] > 0 ? 1L << i : 0;
        }
        return present;
    }

    boolean occurred(Fault fault) {
        return faults[fault.ordinal()] > 0;
    }

    long steps() {
        return steps;
    }

    long schedules() {
        return schedules;
    }

    Map<Deed, Long> deeds() {
        Map<Deed, Long> counts = new EnumMap<>(Deed.class);
        for (Deed deed : Deed.values()) {
            counts.put(deed, deeds[deed.ordinal()]);
        }
        return counts;
    }

    Map<Fault, Long> faults() {
        Map<Fault, Long> counts = new EnumMap<>(Fault.class);
        for (Fault fault : Fault.values()) {
            counts.put(fault, faults[fault.ordinal()]);
        }
        return counts;
    }

    long slowestPerMille() {
        return slowest;
    }
}
