import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** What the {@link FaultProxy proxies} of one group saw and did. Safe from any thread; times are those of {@link System#nanoTime}. */
final class FaultLog {

    /**
     * A request and its answer.
     *
     * @param fault what was done to it, null if nothing
     * @param status what the API server answered, 0 if it was not asked or did not answer
     * @param answeredAt when the answer, or what there was of it, went out
     */
    record Exchange(ProxiedRequest request, HttpFault fault, int status, long answeredAt) {}

    /** Faults that hit a live request, by kind and phase. */
    static final class Tally {

        private final Map<String, Map<RequestPhase, Integer>> counts = new TreeMap<>();

        private void add(String kind, RequestPhase phase, int count) {
            counts.computeIfAbsent(kind, k -> new EnumMap<>(RequestPhase.class)).merge(phase, count, Integer::sum);
        }

        /** Adds another's counts to these. */
        void add(Tally other) {
            other.counts.forEach((kind, phases) -> phases.forEach((phase, count) -> add(kind, phase, count)));
        }

        int total() {
            return counts.values().stream().flatMap(phases -> phases.values().stream()).mapToInt(Integer::intValue).sum();
        }

        int of(RequestPhase phase) {
            return counts.values().stream().mapToInt(phases -> phases.getOrDefault(phase, 0)).sum();
        }

        /** The same counts without these kinds. */
        Tally without(Set<String> kinds) {
            Tally rest = new Tally();
            rest.add(this);
            rest.counts.keySet().removeAll(kinds);
            return rest;
        }

        /** A table: a line per kind, a column per phase. */
        @Override
        public String toString() {
            StringBuilder table = new StringBuilder("%-16s".formatted("fault"));
            for (RequestPhase phase : RequestPhase.values()) {
                table.append("%12s".formatted(phase));
            }
            table.append("%12s".formatted("all"));
            counts.keySet().forEach(kind -> line(table, kind, counts.get(kind)));
            Map<RequestPhase, Integer> sums = new EnumMap<>(RequestPhase.class);
            counts.values().forEach(phases -> phases.forEach((phase, count) -> sums.merge(phase, count, Integer::sum)));
            line(table, "all", sums);
            return table.toString();
        }

        private static void line(StringBuilder table, String kind, Map<RequestPhase, Integer> phases) {
            table.append("\n%-16s".formatted(kind));
            for (RequestPhase phase : RequestPhase.values()) {
                table.append("%12s".formatted(phases.containsKey(phase) ? phases.get(phase).toString() : "."));
            }
            table.append("%12d".formatted(phases.values().stream().mapToInt(Integer::intValue).sum()));
        }
    }

    private final long origin = System.nanoTime();
    private final List<Exchange> exchanges = new ArrayList<>();
    private final Map<String, List<Long>> attempts = new HashMap<>();
    private final Map<String, Long> forbiddenUntil = new HashMap<>();
    private final List<String> disobedience = new ArrayList<>();
    private final Tally tally = new Tally();
    private long since = origin;
    private int underWay;
    private long lastFault = origin;

    // --- Told by the proxies -------------------------------------------------------------------------------------------

    /** A client sends a request, or tries to: it may find nobody to connect to. */
    synchronized void sent(ProxiedRequest request) {
        attempts.computeIfAbsent(request.client(), c -> new ArrayList<>()).add(request.at());
        long early = forbiddenUntil.getOrDefault(place(request), request.at()) - request.at();
        if (early > 0) {
            disobedience.add("%s, %d ms before Retry-After allows it".formatted(request, early / 1_000_000));
        }
    }

    /** A client got an answer that says {@code Retry-After}. */
    synchronized void toldToWait(ProxiedRequest request, int seconds) {
        forbiddenUntil.put(place(request), System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds));
    }

    private static String place(ProxiedRequest request) {
        return request.client() + " " + request.object();
    }

    /** A fault hits a live request; it lasts until {@link #faultEnds}. */
    synchronized void faultBegins(String kind, RequestPhase phase) {
        tally.add(kind, phase, 1);
        underWay++;
    }

    /** The fault has had its effect. */
    synchronized void faultEnds() {
        underWay--;
        lastFault = System.nanoTime();
    }

    /** A fault hits a live request and is over at once. */
    synchronized void hit(String kind, RequestPhase phase) {
        faultBegins(kind, phase);
        faultEnds();
    }

    /** A time in which something fails, whether it hits anything or not, begins. */
    synchronized void outageBegins() {
        underWay++;
    }

    /** It ends. */
    synchronized void outageEnds() {
        faultEnds();
    }

    synchronized void answered(Exchange exchange) {
        exchanges.add(exchange);
    }

    // --- Asked by tests --------------------------------------------------------------------------------------------------

    /** When the last fault ended; now, if one lasts. */
    synchronized long lastFault() {
        return underWay > 0 ? System.nanoTime() : lastFault;
    }

    /** A copy of what was counted so far. */
    synchronized Tally tally() {
        Tally copy = new Tally();
        copy.add(tally);
        return copy;
    }

    /** From now on {@link #exchanges} leaves out what arrived before. */
    synchronized void mark() {
        since = System.nanoTime();
    }

    /** What arrived since the {@link #mark}, was answered and is like this, in the order of arrival. */
    synchronized List<Exchange> exchanges(Predicate<Exchange> like) {
        return inOrder().filter(exchange -> exchange.request().at() >= since).filter(like).toList();
    }

    private Stream<Exchange> inOrder() {
        return exchanges.stream().sorted(Comparator.comparing(exchange -> exchange.request().at()));
    }

    /** Requests of clients in this JVM to an object that a {@code Retry-After} had forbidden; none if all is well. */
    synchronized List<String> disobedience() {
        return List.copyOf(disobedience);
    }

    /** The most requests that one client sent within a second. */
    synchronized int busiestSecond() {
        return attempts.values().stream().mapToInt(FaultLog::busiestSecond).max().orElse(0);
    }

    private static int busiestSecond(List<Long> times) {
        int most = 0;
        int first = 0;
        for (int last = 0; last < times.size(); last++) {
            while (times.get(last) - times.get(first) > TimeUnit.SECONDS.toNanos(1)) {
                first++;
            }
            most = Math.max(most, last - first + 1);
        }
        return most;
    }

    /** How many requests a client sent since a time. */
    synchronized long attemptsSince(String client, long since) {
        return attempts.getOrDefault(client, List.of()).stream().filter(at -> at >= since).count();
    }

    /** Everything, a line per exchange, for people. */
    synchronized String history() {
        StringBuilder lines = new StringBuilder();
        inOrder().forEach(exchange -> lines.append("%,9d ms %s -> %s after %d ms%s%n".formatted(
                (exchange.request().at() - origin) / 1_000_000, exchange.request(), exchange.status() == 0 ? "nothing" : exchange.status(),
                (exchange.answeredAt() - exchange.request().at()) / 1_000_000, exchange.fault() == null ? "" : ", " + exchange.fault())));
        return lines.toString();
    }
}
