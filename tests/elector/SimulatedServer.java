import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The API server of a {@link Simulation}: a {@link Store}, what the electors ask of it, and what others do to its objects. */
final class SimulatedServer {

    /** Keys, as {@link Config} derives them from the election's name: the claim on the Lease, epoch and participation of a pod. */
    static final String CLAIM = Mix.ELECTION + "/holder";
    static final String PREFERRED = Mix.ELECTION + "/preferred-leader";
    static final String EPOCH = Mix.ELECTION + "/epoch";
    static final String PARTICIPATION = Mix.ELECTION + "/participant";
    /** Annotation of a pod that a webhook writes, not a sidecar. */
    static final String WEBHOOK_NOTE = "webhook/note";
    private static final Store.Selection LEASE = Store.Selection.all(Resource.LEASES, Mix.NAMESPACE).named(Mix.ELECTION);

    private final Simulation world;
    private final Store store;
    private final StoreCodec codec;
    private final StoreClient client;
    private final Admission admission;
    /** The pods as electors see them. */
    private final Map<String, Pod> shown = new TreeMap<>();
    /** The same pods, and the Lease, as the invariants see them. */
    private final Map<String, StoredPod> pods = new TreeMap<>();
    private final Map<String, Long> refusedUntil = new TreeMap<>();
    private final List<SimulatedWatch> watches = new ArrayList<>();
    private final Deviations.Steps steps = new Deviations.Steps();
    private final List<Store.Backup> backups = new ArrayList<>();
    private StoredLease lease;
    private Sender sender = Sender.FOREIGN;
    /** Grows when etcd is restored. */
    private int history;
    private int touches;
    private long patchRefusedAt = Long.MIN_VALUE;

    /**
     * Who has a request executed at the moment; neither is set if it is somebody who has nothing to do with the election.
     *
     * @param claim what a sidecar's write of the Lease claims, whatever becomes of it; null if it claims nothing, or the Lease does not
     *     name its pod then
     */
    record Sender(SimulatedProcess process, Effect.Request request, ClientGoProgram program, StoredLease.Claimed claim) {
        static final Sender FOREIGN = new Sender(null, null, null, null);

        /** A sidecar or a client-go program. */
        boolean isParticipant() {
            return process != null || program != null;
        }

        /** Whether a held Lease is that of the sender, who is a participant: of its pod or by its identity. */
        boolean holds(StoredLease lease) {
            return process == null ? lease.holder().equals(program.identity())
                    : lease.writer() != null && lease.writer().uid().equals(process.pod().uid());
        }

        String who() {
            return process != null ? process.toString() : program != null ? "client-go" : "somebody";
        }
    }

    SimulatedServer(Simulation world, long seed) {
        this.world = world;
        Config config = world.mix.config("any", null);
        codec = new StoreCodec(config);
        store = new Store(() -> Simulation.EPOCH.plusNanos(world.now()), Store.seededUids(seed), 1);
        admission = new Admission(world);
        client = new StoreClient(store, config, tree -> shown.get(Json.text(tree, "metadata", "name")), this::admit);
        store.onRevision(this::revised);
    }

    /** Webhooks that change what sidecars write. */
    Admission admission() {
        return admission;
    }

    /** The Lease as it is stored; null if it does not exist. */
    StoredLease lease() {
        return lease;
    }

    boolean isLeaseHeld() {
        return lease != null && lease.isHeld();
    }

    /** Whether a pod of that name holds the Lease. */
    boolean isHolder(String pod) {
        return lease != null && lease.holder().equals(pod);
    }

    /** The stored Lease's tree; null if it does not exist. */
    Map<String, Object> leaseTree() {
        return store.get(Resource.LEASES, Mix.NAMESPACE, Mix.ELECTION) instanceof Store.Ok ok ? ok.object() : null;
    }

    /** The pod of that name as it is stored; null if there is none. */
    StoredPod pod(String name) {
        return pods.get(name);
    }

    /** All pods of the namespace, by name. */
    Map<String, StoredPod> pods() {
        return pods;
    }

    // --- What electors ask -------------------------------------------------------------------------------------------

    /** Executes the request now. */
    Reply execute(SimulatedProcess from, Effect.Request request) {
        world.coverage.step();
        pass();
        sender = new Sender(from, request, null, null);
        Reply refusal = request instanceof Effect.PatchPod patch && refusesPatches(patch.name())
                ? new Reply.Failed("403 patches to " + patch.name() + " are refused", 0) : admission.refusal(from, request);
        Reply reply = refusal != null ? refusal : client.execute(request);
        patchRefusedAt = refusal != null && request instanceof Effect.PatchPod ? world.now() : patchRefusedAt;
        sender = Sender.FOREIGN;
        world.invariants.answered(from, request, reply);
        steps.step(world);
        return reply;
    }

    private Map<String, Object> admit(Effect.Request request, Map<String, Object> body) {
        if (request instanceof Effect.PatchPod patch) {
            return admission.admitPatch(patch.name(), body);
        }
        Map<String, Object> admitted = admission.admitLease(body);
        StoredLease.Claimed claim = StoredLease.Claimed.parse(Json.at(body, "metadata", "annotations", CLAIM));
        boolean isWritten = claim != null && claim.pod().equals(Json.at(admitted, "spec", "holderIdentity"));
        sender = new Sender(sender.process, request, null, isWritten ? claim : null);
        return admitted;
    }

    /** Where versions may come a second time, most of them belong to objects of other people, so that hardly any comes for the same object. */
    private void pass() {
        if (world.mix.isOn(Fault.ETCD_RESTORED)) {
            store.skip(world.draw.between(0, 50));
        }
    }

    // --- Watches -----------------------------------------------------------------------------------------------------

    /** What a watch of the Lease begins with. */
    Event leaseNow() {
        world.coverage.step();
        Map<String, Object> tree = leaseTree();
        return tree == null ? new Event.LeaseDeleted(Long.toString(store.resourceVersion())) : new Event.LeaseUpdated(codec.lease(tree));
    }

    /** What a watch of the group begins with. */
    Event groupNow() {
        world.coverage.step();
        Reply.PodListReply all = client.list();
        return new Event.PodsListed(all.pods(), all.version());
    }

    /** Counts the requests of sidecars, and what others do. */
    Deviations.Steps steps() {
        return steps;
    }

    void add(SimulatedWatch watch) {
        watches.add(watch);
    }

    void remove(SimulatedWatch watch) {
        watches.remove(watch);
    }

    private void revised(Store.Revision revision) {
        boolean ofLease = revision.resource() == Resource.LEASES;
        if (!ofLease && revision.resource() != Resource.PODS) {
            return;
        }
        if (ofLease) {
            StoredLease before = lease;
            lease = StoredLease.of(revision.after(), before, sender.claim());
            world.invariants.leaseRevised(sender, before, lease);
        } else {
            StoredPod before = pods.get(revision.name());
            note(revision.name(), revision.after());
            world.invariants.podRevised(sender, revision, before, pods.get(revision.name()));
        }
        if (world.mix.isOn(Fault.ETCD_RESTORED) && world.draw.chance(0.1)) {
            backUp();
        }
        if (!sender.isParticipant()) {
            steps.step(world);
        }
        Event event = revision.seenBy(ofLease ? LEASE : client.group()).map(seen -> event(seen, revision, ofLease)).orElse(null);
        if (event != null) {
            for (SimulatedWatch watch : List.copyOf(watches)) {
                watch.push(event, ofLease);
            }
        }
    }

    private void note(String name, Map<String, Object> tree) {
        pods.compute(name, (same, before) -> StoredPod.of(tree, world.mix.leadershipLabel));
        shown.compute(name, (same, before) -> tree == null ? null : codec.pod(tree));
    }

    private Event event(Store.WatchEvent seen, Store.Revision revision, boolean ofLease) {
        boolean left = seen.type() == Store.EventType.DELETED;
        String version = Long.toString(revision.resourceVersion());
        if (ofLease) {
            return left ? new Event.LeaseDeleted(version) : new Event.LeaseUpdated(codec.lease(revision.after()));
        }
        return left ? new Event.PodRemoved(revision.name(), version) : new Event.PodUpdated(shown.get(revision.name()));
    }

    // --- What others do ----------------------------------------------------------------------------------------------

    /** Creates a pod on a node, as controller, scheduler and kubelet do together; returns its uid. */
    String createPod(String name, Map<String, String> labels, Map<String, String> annotations, long graceSeconds) {
        Store.Result result = store.create(Resource.PODS, Mix.NAMESPACE, Map.of(
                "metadata", Map.of("name", name, "labels", labels, "annotations", annotations),
                "spec", Map.of("nodeName", "node", "terminationGracePeriodSeconds", graceSeconds)));
        setStatus(name, "Running", false);
        return Json.text(((Store.Created) result).object(), "metadata", "uid");
    }

    /** The latest version that was given. */
    long version() {
        return store.resourceVersion();
    }

    void setStatus(String name, String phase, boolean ready) {
        Map<String, Object> condition = Map.of("type", "Ready", "status", ready ? "True" : "False");
        store.patchStatus(Resource.PODS, Mix.NAMESPACE, name, Map.of("status", Map.of("phase", phase, "conditions", List.of(condition))));
    }

    /** Graceful deletion, or removal if {@code graceSeconds} is 0. */
    void deletePod(String name, long graceSeconds) {
        store.delete(Resource.PODS, Mix.NAMESPACE, name, new Store.Deletion(graceSeconds, null, null));
    }

    /** Somebody's merge patch of a pod; a null value removes the key. */
    void editPod(String name, Map<String, Object> labels, Map<String, Object> annotations) {
        store.patch(Resource.PODS, Mix.NAMESPACE, name, Map.of("metadata", Map.of("labels", labels, "annotations", annotations)));
    }

    /** Something of a pod changes that is none of our business: its annotations or its status. */
    void touchPod(String name, boolean status) {
        pass();
        String text = "busy " + touches++;
        if (status) {
            store.patchStatus(Resource.PODS, Mix.NAMESPACE, name, Map.of("status", Map.of("message", text)));
        } else {
            editPod(name, Map.of(), Map.of("note", text));
        }
    }

    void touchLease() {
        pass();
        editLease(Map.of(), Map.of("note", "touched " + touches++));
    }

    void refusePatches(String pod, long until) {
        refusedUntil.put(pod, until);
    }

    void acceptPatches() {
        refusedUntil.clear();
        admission.end();
    }

    boolean refusesPatches(String pod) {
        return refusedUntil.getOrDefault(pod, 0L) > world.now();
    }

    /** Whether patches to a pod that exists are refused. */
    boolean refusesAnyPatch() {
        return pods.keySet().stream().anyMatch(this::refusesPatches);
    }

    /** Whether a patch was refused since: who sent it waits up to a retry-period before the next to that pod. */
    boolean hasRefusedPatchSince(long time) {
        return patchRefusedAt >= time;
    }

    // --- A backup of etcd --------------------------------------------------------------------------------------------

    /** Copies everything, for {@link #restore}. */
    void backUp() {
        backups.add(store.backup());
    }

    /** How often etcd was restored. */
    int history() {
        return history;
    }

    /** Puts back one of the latest copies of everything; returns false if there is none. All watches end. */
    boolean restore() {
        List<Store.Backup> latest = backups.subList(Math.max(0, backups.size() - 4), backups.size());
        if (latest.isEmpty()) {
            return false;
        }
        store.restore(world.draw.one(latest));
        backups.clear();
        history++;
        lease = StoredLease.of(leaseTree(), null, null);
        pods.clear();
        shown.clear();
        Store.Listing all = store.list(Store.Selection.all(Resource.PODS, Mix.NAMESPACE));
        all.items().forEach(tree -> note(Json.text(tree, "metadata", "name"), tree));
        List.copyOf(watches).forEach(SimulatedWatch::breakOff);
        world.invariants.restored();
        return true;
    }

    // --- What others do to the Lease ---------------------------------------------------------------------------------

    /** Somebody's merge patch of the Lease; a null value removes the key. */
    void editLease(Map<String, Object> spec, Map<String, Object> annotations) {
        store.patch(Resource.LEASES, Mix.NAMESPACE, Mix.ELECTION, Map.of("metadata", Map.of("annotations", annotations), "spec", spec));
    }

    void createLease() {
        store.create(Resource.LEASES, Mix.NAMESPACE, Map.of("metadata", Map.of("name", Mix.ELECTION), "spec", Map.of()));
    }

    void deleteLease() {
        store.delete(Resource.LEASES, Mix.NAMESPACE, Mix.ELECTION, Store.Deletion.DEFAULT);
    }

    /** A client-go program creates the Lease, or replaces it on the version that {@code read} has; says whether it succeeded. */
    boolean write(ClientGoProgram program, Map<String, Object> read, Map<String, Object> spec) {
        pass();
        if ((Long) spec.get("leaseTransitions") > Integer.MAX_VALUE) {
            return false; // it overflows in Go, and a negative number is refused
        }
        sender = new Sender(null, null, program, null);
        Map<String, Object> meta = read == null ? Map.of("name", Mix.ELECTION) : new LinkedHashMap<>(Json.object(read, "metadata"));
        Map<String, Object> body = Map.of("metadata", meta, "spec", spec);
        Store.Result result = read == null ? store.create(Resource.LEASES, Mix.NAMESPACE, body)
                : store.replace(Resource.LEASES, Mix.NAMESPACE, Mix.ELECTION, body);
        sender = Sender.FOREIGN;
        return !(result instanceof Store.Failed);
    }

    /** The time as the Lease records it. */
    static String micros(Instant time) {
        return StoreCodec.micros(time);
    }
}
