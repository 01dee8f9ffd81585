import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Which faults the next requests of each phase meet, one after the other; requests beyond those are left alone. Safe from any thread. */
final class FaultPlan {

    /** What tries to pass for an answer: a proxy's page, nothing, JSON that is none, and objects without what every object has. */
    static final List<String> GARBAGE = List.of("<html><body>It works!</body></html>", "", "{\"kind\":\"Lea", "[]", "null", "{}",
            "{\"metadata\":{}}", "{\"metadata\":{},\"items\":[{}]}", "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{}}}",
            "\uFFFD\uFFFD");
    private static final List<Integer> CODES = List.of(429, 429, 429, 500, 503, 401);
    private static final Duration LONGEST_LATENCY = Duration.ofSeconds(3);

    private final Map<RequestPhase, Deque<HttpFault>> faults = new EnumMap<>(RequestPhase.class);

    /** Adds faults for the next requests of a phase; returns this plan. */
    synchronized FaultPlan then(RequestPhase phase, HttpFault... next) {
        faults.computeIfAbsent(phase, p -> new ArrayDeque<>()).addAll(List.of(next));
        return this;
    }

    /** Puts a fault before those that are planned for a phase. */
    synchronized void first(RequestPhase phase, HttpFault fault) {
        faults.computeIfAbsent(phase, p -> new ArrayDeque<>()).addFirst(fault);
    }

    /** Whether this fault has not been met yet. */
    synchronized boolean isWaiting(HttpFault fault) {
        return faults.values().stream().anyMatch(planned -> planned.contains(fault));
    }

    /** The fault that a request meets, which is thereby used up. */
    synchronized Optional<HttpFault> meet(ProxiedRequest request) {
        return Optional.ofNullable(faults.getOrDefault(request.phase(), new ArrayDeque<>()).poll());
    }

    /** Whether the faults of these phases have all been met. */
    synchronized boolean isOver(Set<RequestPhase> phases) {
        return phases.stream().allMatch(phase -> faults.getOrDefault(phase, new ArrayDeque<>()).isEmpty());
    }

    /** Forgets what has not been met. */
    synchronized void clear() {
        faults.clear();
    }

    /** Draws a plan: one to three faults for each of these phases, and none to two for the others. */
    static FaultPlan draw(Draw draw, Set<RequestPhase> aimedAt) {
        FaultPlan plan = new FaultPlan();
        for (RequestPhase phase : RequestPhase.values()) {
            int aimed = aimedAt.contains(phase) ? 1 : 0;
            for (long count = draw.between(aimed, 2 + aimed); count > 0; count--) {
                plan.then(phase, phase == RequestPhase.WATCH ? drawForNewWatch(draw) : drawForRequest(draw));
            }
        }
        return plan;
    }

    private static HttpFault drawForRequest(Draw draw) {
        return draw.one(List.of(drawLatency(draw), drawLatency(draw), drawRefusal(draw), drawRefusal(draw), new HttpFault.ResetBefore(),
                new HttpFault.ResetAfter(), new HttpFault.Truncate(), drawGarbage(draw)));
    }

    private static HttpFault drawForNewWatch(Draw draw) {
        List<HttpFault> some = new ArrayList<>(List.of(drawLatency(draw), drawRefusal(draw), new HttpFault.Refuse(410, 0),
                new HttpFault.ResetBefore()));
        some.add(drawForOpenWatch(draw));
        return draw.one(some);
    }

    /** Something that can happen to a watch in the middle of it. */
    static HttpFault drawForOpenWatch(Draw draw) {
        return draw.one(List.of(new HttpFault.Silence(), new HttpFault.Silence(), new HttpFault.Expire(), new HttpFault.ResetAfter(),
                new HttpFault.Truncate(), drawGarbage(draw), drawLatency(draw)));
    }

    private static HttpFault drawLatency(Draw draw) {
        return new HttpFault.Delay(Duration.ofMillis(draw.between(1, LONGEST_LATENCY.toMillis())));
    }

    private static HttpFault drawRefusal(Draw draw) {
        int code = draw.one(CODES);
        return new HttpFault.Refuse(code, code == 429 || code == 503 ? (int) draw.between(0, 2) : 0);
    }

    private static HttpFault drawGarbage(Draw draw) {
        return new HttpFault.Garbage(draw.one(GARBAGE));
    }

    @Override
    public synchronized String toString() {
        return faults.toString();
    }
}
