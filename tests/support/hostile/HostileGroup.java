import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kubernetes.client.openapi.ApiClient;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.BooleanSupplier;
import java.util.function.Function;

/**
 * A {@link Group} whose sidecars run in this JVM, each behind a {@link FaultProxy} of its own. The witness and everything that the test
 * does itself go to the API server directly.
 */
final class HostileGroup implements AutoCloseable {

    /** Requests of one sidecar to all of its objects within a second, at most; see {@link #check}. */
    static final int BUSIEST_SECOND = 60;

    private static final String ELECTION = "web";
    /** For what no test measures: longer than anything takes, however busy the machine. */
    private static final Duration LONG = Duration.ofMinutes(1);
    private static final Path FOLDER = Folders.temporary("proxies");

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> Folders.delete(FOLDER)));
    }

    private record Member(FaultProxy proxy, InProcessSidecar sidecar) {}

    private final Group group;
    private final ApiClient upstream;
    private final Duration leaseDuration;
    private final Duration renewDeadline;
    private final Duration retryPeriod;
    private final FaultLog log = new FaultLog();
    private final Map<String, Member> members = new TreeMap<>();
    private final List<Member> former = new ArrayList<>();
    private final List<FaultProxy> proxiesOfProcesses = new ArrayList<>();
    private volatile Function<ProxiedRequest, Optional<HttpFault>> faults = request -> Optional.empty();

    /** No pod yet. */
    HostileGroup(TestServer server, Duration leaseDuration, Duration renewDeadline, Duration retryPeriod) {
        this.group = new Group(server, server.newNamespace(), ELECTION, List.of("--lease-duration=" + Config.show(leaseDuration),
                "--renew-deadline=" + Config.show(renewDeadline), "--retry-period=" + Config.show(retryPeriod)));
        this.upstream = server.client();
        this.leaseDuration = leaseDuration;
        this.renewDeadline = renewDeadline;
        this.retryPeriod = retryPeriod;
    }

    Group group() {
        return group;
    }

    Witness witness() {
        return group.witness();
    }

    FaultLog log() {
        return log;
    }

    /** Decides from now on which faults the requests of all sidecars meet. */
    void faults(Function<ProxiedRequest, Optional<HttpFault>> decision) {
        faults = decision;
    }

    /**
     * The next requests of a phase meet these faults, one after the other, and nothing else meets any. The plan that is returned can be
     * added to, and asked.
     */
    FaultPlan meet(RequestPhase phase, HttpFault... next) {
        FaultPlan plan = new FaultPlan().then(phase, next);
        faults = plan::meet;
        return plan;
    }

    /** From now on no request meets a fault. */
    void noFaults() {
        faults = request -> Optional.empty();
    }

    // --- Sidecars ----------------------------------------------------------------------------------------------------

    /** Creates pods, running and ready, and starts their sidecars. */
    void start(int count) {
        for (int i = 0; i < count; i++) {
            group.createPod(ELECTION + "-" + i);
        }
        for (int i = 0; i < count; i++) {
            startSidecar(ELECTION + "-" + i);
        }
    }

    /** Starts a sidecar for a pod that has none (any more). */
    void startSidecar(String pod) {
        FaultProxy proxy = new FaultProxy(upstream, pod, group.keys(), log);
        proxy.faults(this::faultFor);
        Config config = TestConfig.config().election(ELECTION).pod(pod).namespace(group.namespace())
                .timing(leaseDuration, renewDeadline, retryPeriod).build();
        members.put(pod, new Member(proxy, InProcessSidecar.start(config, proxy.apiClient())));
    }

    /** Starts a sidecar as a process behind a proxy, which is returned. It is not one of {@link #pods}; {@link #group} has it. */
    FaultProxy startProcess(String pod) {
        FaultProxy proxy = new FaultProxy(upstream, pod, group.keys(), log);
        proxiesOfProcesses.add(proxy);
        group.startSidecar(pod, proxy.kubeconfig(FOLDER));
        return proxy;
    }

    private Optional<HttpFault> faultFor(ProxiedRequest request) {
        return faults.apply(request);
    }

    /** From now on the API server knows this sidecar's token no longer, until {@link #renewToken}; its watches end. */
    void expireToken(String pod) {
        proxy(pod).faults(request -> Optional.of(new HttpFault.ExpiredToken()));
        proxy(pod).strikeWatches(new HttpFault.ResetAfter());
    }

    /** Ends {@link #expireToken}. */
    void renewToken(String pod) {
        proxy(pod).faults(this::faultFor);
    }

    FaultProxy proxy(String pod) {
        return members.get(pod).proxy();
    }

    InProcessSidecar sidecar(String pod) {
        return members.get(pod).sidecar();
    }

    List<String> pods() {
        return List.copyOf(members.keySet());
    }

    /** All pods but this one, those without a sidecar included. */
    List<String> podsOtherThan(String pod) {
        return witness().pods().keySet().stream().filter(name -> !name.equals(pod)).toList();
    }

    /** Waits until both watches of a sidecar deliver. */
    void awaitWatches(String pod) {
        await(pod + " watches", () -> proxy(pod).openWatches() == 2);
    }

    /** Does this to both watches of a sidecar, which must be open, or be about to be. */
    void strikeWatches(String pod, HttpFault fault) {
        awaitWatches(pod);
        assertEquals(2, proxy(pod).strikeWatches(fault), "watches of " + pod);
    }

    /** SIGTERM. The sidecar is expected to end. */
    InProcessSidecar stop(String pod) {
        Member leaving = members.remove(pod);
        former.add(leaving);
        leaving.sidecar().stop();
        return leaving.sidecar();
    }

    /** SIGTERM to a sidecar that may not be the last of a pod of this name; it is expected to end. */
    InProcessSidecar stop(String pod, InProcessSidecar sidecar) {
        if (members.containsKey(pod) && members.get(pod).sidecar() == sidecar) {
            return stop(pod);
        }
        sidecar.stop();
        return sidecar;
    }

    /** A crash, as it looks from outside: nothing comes from there any more but what was on its way. */
    void crash(String pod) {
        Member crashed = members.remove(pod);
        former.add(crashed);
        crashed.proxy().cut();
        crashed.sidecar().stop();
    }

    // --- What is seen of them ------------------------------------------------------------------------------------------

    /** Waits until everything is as it should be, and returns who leads. */
    String awaitLeader() {
        return group.awaitLeader(LONG);
    }

    /** Waits until another pod leads, and everything is as it should be. */
    String awaitLeaderOtherThan(String pod) {
        return group.awaitLeaderOtherThan(pod, LONG);
    }

    /** Waits until this pod has renewed the Lease so often from now on. */
    void awaitRenewals(String holder, int count) {
        group.awaitRenewals(holder, count);
    }

    void await(String what, BooleanSupplier condition) {
        group.await(what, LONG, condition);
    }

    /** The exchanges of a phase with one pod's sidecars, in the order of arrival. */
    List<FaultLog.Exchange> exchanges(String pod, RequestPhase phase) {
        return log.exchanges(exchange -> exchange.request().pod().equals(pod) && exchange.request().phase() == phase);
    }

    /**
     * Fails if the witness saw a rule broken; if a sidecar ended by itself, or would be killed by its probe; if one asked for something
     * that it was told not to ask for yet; or if one stormed the API server. A sidecar has seven things to ask for (Lease, group, three
     * pods, two watches), and for each at most six times within a second, since it backs off from 50 ms to 500 ms; a few more are
     * what it asks for anew because the answer was news.
     */
    void check() {
        for (Map.Entry<String, Member> member : members.entrySet()) {
            InProcessSidecar sidecar = member.getValue().sidecar();
            assertFalse(sidecar.hasEnded(), () -> member.getKey() + " ended by itself: " + sidecar.fate());
            assertFalse(sidecar.isStuck(), member.getKey() + " is stuck");
        }
        for (Member gone : former) {
            assertEquals(0, gone.sidecar().exitCode(LONG), gone.proxy().client() + ", which was told to go, or should know");
        }
        group.check();
        assertEquals(List.of(), log.disobedience(), "Retry-After was not honoured");
        assertTrue(log.busiestSecond() <= BUSIEST_SECOND, "a sidecar sent " + log.busiestSecond() + " requests within a second");
    }

    /** Everything that people need to understand a failure. */
    String report() {
        StringBuilder report = new StringBuilder(group.report()).append("--- exchanges with sidecars, by arrival:\n").append(log.history());
        members.forEach((pod, member) -> report.append(member.proxy().client()).append(' ').append(member.sidecar().fate()).append('\n'));
        return report.toString();
    }

    /** Ends everything. */
    @Override
    public void close() {
        former.addAll(members.values());
        former.forEach(member -> member.sidecar().stop());
        former.forEach(member -> member.proxy().close());
        proxiesOfProcesses.forEach(FaultProxy::close);
        group.close();
    }
}
