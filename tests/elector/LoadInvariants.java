import java.util.HashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** I8: whatever others do, and however long, one process sends and logs only so much. Its memory is its own affair. */
final class LoadInvariants {

    /** Requests per object that may follow each other at once. */
    private static final int BURST = 30;
    /** Requests per object and retry-period on average. */
    private static final int PER_RETRY_PERIOD = 2;
    private static final Pattern NUMBERS = Pattern.compile("(?<![\\w.-])\\d+(\\.\\d+)?(?=(ms|s)?\\b)");

    /** What a process may still send to one object; it is filled up as its own clock goes on. */
    private static final class Budget {
        private double left = BURST;
        private long at;

        Budget(long now) {
            at = now;
        }

        boolean spend(long now, long retryPeriod) {
            left = Math.min(BURST, left + (double) (now - at) * PER_RETRY_PERIOD / retryPeriod);
            at = now;
            return --left > -1e-6;
        }
    }

    private final Map<SimulatedProcess, Map<String, Budget>> requests = new HashMap<>();
    private final Map<SimulatedProcess, Map<String, Long>> lines = new HashMap<>();

    /** A process wants a request sent; {@code clock} is its own. */
    void asked(SimulatedProcess process, Effect.Request request, long clock) {
        String object = switch (request) {
            case Effect.GetLease get -> "the Lease";
            case Effect.CreateLease create -> "the Lease";
            case Effect.PutLease put -> "the Lease";
            case Effect.ListPods list -> "the group";
            case Effect.GetPod get -> get.name();
            case Effect.PatchPod patch -> patch.name();
        };
        Budget budget = requests.computeIfAbsent(process, p -> new HashMap<>()).computeIfAbsent(object, o -> new Budget(clock));
        Invariants.require(budget.spend(clock, process.config().retryPeriod().toNanos()), "I8",
                () -> process + " sends too many requests to " + object + ", now " + Simulation.show(request));
    }

    /** A process logs a line. Beginning and end of a lead are facts, each of which needs a line; anything else is a matter. */
    void logged(SimulatedProcess process, String line, long clock) {
        if (line.startsWith("became leader") || line.startsWith("stopped leading")) {
            return;
        }
        String matter = NUMBERS.matcher(line).replaceAll("#");
        Long last = lines.computeIfAbsent(process, p -> new HashMap<>()).put(matter, clock);
        Invariants.require(last == null || clock - last >= Simulation.MINUTE, "log",
                () -> process + " logs again after " + (clock - last) / Simulation.MS + "ms: " + line);
    }

    /** A process has ended. */
    void ended(SimulatedProcess process) {
        requests.remove(process);
        lines.remove(process);
    }
}
