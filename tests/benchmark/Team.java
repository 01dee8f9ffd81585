import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Three pods in a namespace of their own with the sidecars of one candidate, and what is seen of them. Each sidecar has the rights of an
 * own service account, by which the API server's audit log tells who asked. Every sidecar that was started is killed by {@link #end}.
 */
final class Team {

    static final String ELECTION = "web";
    /** Longer than JVMs take to start on a busy machine. */
    private static final Duration START_LIMIT = Duration.ofSeconds(120);
    private static final Duration EXIT_LIMIT = Duration.ofSeconds(30);
    private static final int PODS = 3;

    /** The place between two revisions, and the time, at which something is going to be done. */
    record Mark(long version, long at) {}

    private final Candidate candidate;
    private final Group group;
    private final Map<String, Path> kubeconfigs = new TreeMap<>();
    private final Map<String, Map<Long, Boolean>> lives = new LinkedHashMap<>();
    private final Set<SidecarProcess> running = ConcurrentHashMap.newKeySet();
    private final Duration settleLimit;
    private long startedAt;
    private volatile boolean ending;

    /** Makes namespace and accounts; no pod yet. */
    Team(Candidate candidate, RealServer server, Timings timings) {
        this.candidate = candidate;
        this.settleLimit = START_LIMIT.plus(timings.leaseDuration().multipliedBy(2));
        String namespace = server.newNamespace();
        names().forEach(pod -> kubeconfigs.put(pod, server.kubeconfigFor(namespace, pod)));
        server.apply(namespace, """
                apiVersion: rbac.authorization.k8s.io/v1
                kind: RoleBinding
                metadata: {name: sidecars}
                roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
                subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:serviceaccounts:%s"}]
                """.formatted(namespace));
        this.group = new Group(server, namespace, ELECTION, timings.flags(), candidate.launcher());
    }

    /** The names that pods can have: in a rolling update there are new ones beside the old ones. */
    private static List<String> names() {
        return IntStream.range(0, 2 * PODS).mapToObj(i -> ELECTION + "-" + i).toList();
    }

    Candidate candidate() {
        return candidate;
    }

    Group group() {
        return group;
    }

    Witness witness() {
        return group.witness();
    }

    /** The names of the pods that there are. */
    List<String> pods() {
        return List.copyOf(witness().pods().keySet());
    }

    /** One pod more, without a sidecar; returns its name. */
    String addPod() {
        String pod = names().stream().filter(name -> !pods().contains(name)).findFirst().orElseThrow();
        group.createPod(pod);
        await("pod " + pod + " is there", settleLimit, () -> pods().contains(pod));
        return pod;
    }

    // --- What is done to them ------------------------------------------------------------------------------------------

    /** Creates the pods and starts their sidecars. */
    void start() {
        names().subList(0, PODS).forEach(group::createPod);
        names().subList(0, PODS).forEach(this::startSidecar);
    }

    /** Starts the sidecar of a pod; returns when that was, which is before its process is there. */
    long startSidecar(String pod) {
        startedAt = System.nanoTime();
        noteLife(pod, startedAt, true);
        SidecarProcess sidecar = group.startSidecar(pod, kubeconfigs.get(pod));
        running.add(sidecar);
        if (ending) { // by another thread, which may not have seen this one
            sidecar.close();
            throw new IllegalStateException("nothing is started any more");
        }
        return startedAt;
    }

    /** SIGTERM. */
    void term(String pod) {
        group.term(pod);
    }

    /** Waits until a sidecar that was told to go has ended; one that does not is killed. */
    void awaitEnd(String pod) {
        SidecarProcess sidecar = group.sidecar(pod);
        try {
            sidecar.exitCode(EXIT_LIMIT);
        } catch (AssertionError tooSlow) {
            sidecar.kill();
        }
        noteLife(pod, sidecar.endedAt(), false);
        running.remove(sidecar);
    }

    /** SIGKILL; returns when the process is gone. */
    void kill(String pod) {
        noteLife(pod, System.nanoTime(), false);
        group.kill(pod);
        running.remove(group.sidecar(pod));
    }

    /** SIGSTOP: a frozen sidecar does not count as alive. */
    void freeze(String pod) {
        noteLife(pod, System.nanoTime(), false);
        group.sidecar(pod).freeze();
    }

    /** SIGCONT. */
    void thaw(String pod) {
        noteLife(pod, System.nanoTime(), true);
        group.sidecar(pod).thaw();
    }

    /** Lets a pod that is being deleted go, after its sidecar. */
    void remove(String pod) {
        group.letGo(pod);
        awaitGone(pod);
    }

    /** Another pod of the same name, with its sidecar, as a StatefulSet makes it. */
    void replace(String pod) {
        awaitGone(pod);
        group.createPod(pod);
        startSidecar(pod);
    }

    private void awaitGone(String pod) {
        await("pod " + pod + " is gone", settleLimit, () -> !pods().contains(pod));
    }

    private void noteLife(String pod, long at, boolean alive) {
        lives.computeIfAbsent(pod, name -> new TreeMap<>()).put(at, alive);
    }

    // --- What is seen of them ------------------------------------------------------------------------------------------

    /**
     * Now, for a team that is settled. Pods are not listed to see that nothing is missed: for a list from its cache the API server asks etcd
     * how far that must be, at most every 100 ms, and the next list, a sidecar's, would wait for its turn.
     */
    Mark mark() {
        return new Mark(witness().now(), System.nanoTime());
    }

    /** Waits until one pod leads and all sidecars have run for a while; returns the leader. */
    String awaitCalm(Duration warm) {
        awaitSettled();
        await("the sidecars of " + candidate + " are warm", warm.multipliedBy(2), () -> System.nanoTime() - startedAt > warm.toNanos());
        return awaitSettled();
    }

    /**
     * Waits until all is as it should be: just one pod is labelled {@code true}, it has a live sidecar and somebody holds the Lease; all
     * others are labelled {@code false}; all take part. Returns the leader.
     */
    String awaitSettled() {
        try {
            await(candidate + ": one pod is labelled as leader, the others as followers", settleLimit, () -> leader().isPresent());
            return leader().orElseThrow();
        } catch (AssertionError notInTime) {
            String logs = pods().stream().map(pod -> "--- log of " + pod + ":\n" + group.sidecar(pod).log()).collect(Collectors.joining());
            throw new AssertionError(notInTime.getMessage() + "; labels: " + group.labels() + "\n" + logs, notInTime);
        }
    }

    private Optional<String> leader() {
        Map<String, Witness.PodRevision> pods = witness().pods();
        List<String> leaders = pods.values().stream().filter(Witness.PodRevision::isLabelled).map(Witness.PodRevision::name).toList();
        boolean labelled = pods.values().stream().allMatch(pod -> "true".equals(pod.participation())
                && ("false".equals(pod.leadership()) || pod.isLabelled()));
        boolean held = witness().lease().filter(lease -> !lease.holder().isEmpty()).isPresent();
        return Optional.of(leaders).filter(all -> all.size() == 1 && labelled && held).map(List::getFirst)
                .filter(leader -> group.sidecar(leader).isAlive());
    }

    /** Waits until another pod than this is labelled; returns when the witness saw it, empty if that did not happen in time. */
    OptionalLong awaitMove(Mark before, String from, Duration limit) {
        return awaited(limit, () -> witness().movesSince(before.version()).stream()
                .filter(move -> move.on() && !move.pod().equals(from)).mapToLong(Witness.Move::at).findFirst());
    }

    /** Waits until a pod has a leadership label; returns when the witness saw it. */
    long awaitLabel(String pod) {
        return awaited(START_LIMIT, () -> witness().writesSince(0).stream()
                .filter(write -> write.uid().equals(witness().pods().get(pod).uid()) && write.leadership() != null)
                .mapToLong(Witness.PodRevision::at).findFirst()).orElseThrow(() -> new AssertionError(
                        candidate + ": pod " + pod + " got no label; the log of its sidecar:\n" + group.sidecar(pod).log()));
    }

    /** Waits for the first value; empty if there is none in time. */
    static OptionalLong awaited(Duration limit, Supplier<OptionalLong> value) {
        try {
            Wait.until("a value", limit, () -> value.get().isPresent());
        } catch (AssertionError late) {
            return OptionalLong.empty();
        }
        return value.get();
    }

    private static void await(String what, Duration limit, BooleanSupplier condition) {
        Wait.until(what, limit, condition);
    }

    /** Who was labelled and who lived, from the beginning until now. */
    Timeline timeline() {
        Timeline timeline = new Timeline();
        witness().movesSince(0).forEach(move -> timeline.note(move.at(), move.pod(), Timeline.State.LABELLED, move.on()));
        lives.forEach((pod, changes) -> changes.forEach((at, alive) -> timeline.note(at, pod, Timeline.State.ALIVE, alive)));
        return timeline;
    }

    /** What a sidecar has used so far. */
    Duration cpuTime(String pod) {
        return handle(pod).info().totalCpuDuration().orElseThrow();
    }

    Memory memory(String pod) {
        return Memory.of(group.sidecar(pod).pid());
    }

    private ProcessHandle handle(String pod) {
        return ProcessHandle.of(group.sidecar(pod).pid()).orElseThrow();
    }

    /** How many requests each sidecar sent in a time; a watch counts when it begins and when it ends. */
    Map<String, Long> requests(AuditLog log, Instant from, Instant to) {
        String account = "system:serviceaccount:" + group.namespace() + ":";
        Map<String, Long> requests = new TreeMap<>();
        pods().forEach(pod -> requests.put(pod, 0L));
        log.requests().stream().filter(request -> request.user().startsWith(account))
                .filter(request -> request.received().isAfter(from) && request.received().isBefore(to))
                .forEach(request -> requests.merge(request.user().substring(account.length()), 1L, Long::sum));
        return requests;
    }

    /** Kills all sidecars; from now on none can be started. May be called by another thread. */
    void end() {
        ending = true;
        running.forEach(SidecarProcess::close);
    }
}
