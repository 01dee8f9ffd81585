import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Controller and kubelet of a {@link Simulation}: creates pods, runs, restarts and ends their sidecars, replaces what is gone. */
final class Workload {

    /** Names of pods of another election begin with this. */
    static final String OTHERS = "other-";

    private final Simulation world;
    private final List<SimulatedPod> pods = new ArrayList<>();
    private final List<SimulatedProcess> processes = new ArrayList<>();
    private int named;
    private int revision;
    private boolean windingDown;

    Workload(Simulation world) {
        this.world = world;
    }

    void start() {
        for (int place = 0; place < world.mix.replicas; place++) {
            int fixed = place;
            world.at(world.draw.chance(0.5) ? 0 : world.draw.spread(Simulation.MS, world.mix.lease()), () -> create(fixed, newName(fixed)));
        }
        if (world.mix.isOn(Fault.SHARED_LABEL)) {
            Map<String, String> labels = Map.of(world.mix.leadershipLabel, "true", "db/participant", "true");
            world.server.createPod(OTHERS + 0, labels, Map.of("db/epoch", "7"), 1);
            world.server.createPod(OTHERS + 1, labels, Map.of("db/epoch", "7"), 1);
        }
    }

    /** Pods that the API server still has, and those whose process still runs. */
    List<SimulatedPod> pods() {
        return pods;
    }

    /** Running processes. */
    List<SimulatedProcess> processes() {
        return processes;
    }

    /** How many of them run for that pod. */
    long processesOf(SimulatedPod pod) {
        return processes.stream().filter(process -> process.pod() == pod).count();
    }

    private String newName(int place) {
        return world.mix.stateful ? "web-" + place : "web-" + (place < 26 ? "" + (char) ('a' + place) : place + "-") + named++;
    }

    // --- Life of a pod -----------------------------------------------------------------------------------------------

    private void create(int place, String name) {
        Draw draw = world.draw;
        boolean taken = world.server.pod(name) != null;
        if (windingDown || taken || pods.stream().anyMatch(p -> p.place() == place && p.isUp())) {
            return;
        }
        Map<String, String> labels = new LinkedHashMap<>(Map.of("app", "web"));
        labels.put("pod-template-hash", "r" + revision);
        Map<String, String> annotations = new LinkedHashMap<>(Map.of("note", "keep"));
        if (world.mix.isOn(Fault.TEMPLATE_KEYS)) {
            templateKeys(labels, annotations);
        }
        String uid = world.server.createPod(name, labels, annotations, draw.one(List.of(1L, 5L, 30L)));
        SimulatedPod pod = new SimulatedPod(name, uid, world.mix.config(name, uid), place);
        pods.add(pod);
        world.log("kubelet", name + " created uid=" + uid);
        long longest = world.isQuiet() ? Simulation.SECOND / 10 : 2 * Simulation.SECOND;
        later(draw.spread(Simulation.MS, longest), () -> startContainer(pod));
        if (!draw.chance(0.05)) {
            later(draw.spread(Simulation.MS, longest), () -> setReady(pod, true));
        }
    }

    private void templateKeys(Map<String, String> labels, Map<String, String> annotations) {
        Draw draw = world.draw;
        world.coverage.count(Fault.TEMPLATE_KEYS);
        if (draw.chance(0.6)) {
            labels.put(world.mix.leadershipLabel, draw.one(List.of("false", "", "maybe")));
        }
        if (draw.chance(0.6)) {
            labels.put(SimulatedServer.PARTICIPATION, draw.one(List.of("true", "false")));
        }
        if (draw.chance(0.6)) {
            String soon = Long.toString(world.server.version() + draw.between(4L, 14L)); // perhaps that of the next win
            annotations.put(SimulatedServer.EPOCH, draw.one(List.of("0", "", soon, soon)));
        }
    }

    private void startContainer(SimulatedPod pod) {
        boolean over = windingDown || pod.isRemoved() && (!pod.isCutOff() || world.isQuiet()) || pod.isFinished() || pod.hasAppExited()
                || pod.isBuried();
        if (over || pod.process() != null) {
            return;
        }
        SimulatedProcess process = new SimulatedProcess(world, pod, pod.config(), pod.nextContainer());
        pod.runs(process);
        processes.add(process);
        process.start();
    }

    /** A process has ended, by itself or killed. */
    void ended(SimulatedProcess process) {
        SimulatedPod pod = process.pod();
        processes.remove(process);
        if (pod.process() != process) {
            return;
        }
        pod.runs(null);
        if (process.ended() != null && (pod.isRemoved() || pod.isFinished())) {
            world.coverage.count(Coverage.Deed.EXIT_GONE);
        }
        boolean isRestarted = pod.isCutOff() && process.ended() == null && !world.isQuiet();
        if (pod.isRemoved() && !isRestarted) {
            pods.remove(pod);
        } else if (pod.isTerminating() && (process.isTold() || pod.hasAppExited())) {
            later(world.draw.spread(Simulation.MS / 10, 200 * Simulation.MS), () -> remove(pod));
        } else if (!pod.isFinished()) {
            boolean slowly = world.draw.chance(0.2) && !world.isQuiet();
            later(world.draw.spread(50 * Simulation.MS, slowly ? 3 * world.mix.lease() : Simulation.SECOND), () -> startContainer(pod));
        }
    }

    /** The kubelet removes a pod whose containers have ended. */
    private void remove(SimulatedPod pod) {
        if (pod.isRemoved()) {
            return;
        }
        if (!pod.isFinished() && world.draw.chance(0.5)) {
            world.server.setStatus(pod.name(), world.draw.one(List.of("Succeeded", "Failed")), false);
        }
        takeAway(pod);
    }

    private void takeAway(SimulatedPod pod) {
        world.log("kubelet", pod.name() + " removed");
        pod.remove();
        world.server.deletePod(pod.name(), 0);
        if (pod.process() == null) {
            pods.remove(pod);
        }
        replace(pod, pod.name());
    }

    /** The controller creates another pod in its place, under a name of its own where that is the custom. */
    private void replace(SimulatedPod pod, String sameName) {
        int place = pod.place();
        if (place >= 0) {
            String name = world.mix.stateful ? sameName : newName(place);
            pod.leavePlace();
            later(world.draw.spread(Simulation.MS, Simulation.SECOND), () -> create(place, name));
        }
    }

    private void later(long delay, Runnable action) {
        world.at(world.now() + delay, action);
    }

    // --- What happens to pods ----------------------------------------------------------------------------------------

    void setReady(SimulatedPod pod, boolean ready) {
        if (!pod.isRemoved() && !pod.isFinished() && pod.isReady() != ready) {
            pod.setReady(ready);
            world.log("kubelet", pod.name() + (ready ? " Ready" : " not Ready"));
            world.server.setStatus(pod.name(), "Running", ready);
        }
    }

    /** The template changes, and one of the pods gives way to one of the new revision. */
    void updateTemplate() {
        revision++;
        pods.stream().filter(SimulatedPod::isUp).findFirst().ifPresent(this::delete);
    }

    /** Graceful deletion: SIGTERM at once or, for a native sidecar, when the application has exited; SIGKILL when the time is over. */
    void delete(SimulatedPod pod) {
        if (!pod.isUp()) {
            return;
        }
        long grace = world.draw.one(List.of(1L, 5L, 30L));
        world.log("kubelet", pod.name() + " deleted, grace " + grace + "s");
        pod.terminate();
        world.server.deletePod(pod.name(), grace);
        long end = grace * Simulation.SECOND;
        boolean early = !world.mix.isNative();
        long exit = world.draw.spread(Simulation.MS, early ? 50 * Simulation.MS : end);
        later(exit, () -> appExits(pod));
        later(end + Simulation.SECOND, () -> killAtLast(pod));
        if (!world.mix.stateful) {
            replace(pod, pod.name());
        }
    }

    private void appExits(SimulatedPod pod) {
        pod.appExits();
        if (pod.process() != null) {
            pod.process().stop();
        } else if (!pod.isRemoved()) {
            later(world.draw.spread(Simulation.MS / 10, 200 * Simulation.MS), () -> remove(pod));
        }
    }

    private void killAtLast(SimulatedPod pod) {
        pod.appExits();
        if (pod.process() != null) {
            pod.process().kill();
        }
    }

    /** SIGTERM to the container alone; it is started again. */
    void stopContainer(SimulatedProcess process) {
        process.stop();
        later(world.draw.spread(Simulation.SECOND, 30 * Simulation.SECOND), process::kill);
    }

    /** A second sidecar runs for the pod, for a while or until the pod is gone; SIGTERM and SIGKILL for the pod do not reach it. */
    void startSecond(SimulatedPod pod) {
        if (pod.isRemoved() || pod.isFinished() || windingDown) {
            return;
        }
        SimulatedProcess second = new SimulatedProcess(world, pod, pod.config(), pod.nextContainer());
        processes.add(second);
        second.start();
        if (world.draw.chance(0.7)) {
            boolean gracefully = world.draw.chance(0.5);
            later(world.draw.spread(Simulation.SECOND / 10, 4 * world.mix.lease()), () -> {
                if (!world.isQuiet() && gracefully) {
                    second.stop();
                } else if (!world.isQuiet()) {
                    second.kill();
                }
            });
        }
    }

    /** etcd was restored: kubelets and controllers find other pods than they know, and bring both into line. */
    void reconcile() {
        for (SimulatedPod pod : List.copyOf(pods)) {
            StoredPod stored = world.server.pod(pod.name());
            if (pod.isRemoved()) {
                continue;
            }
            if (stored == null || !stored.uid().equals(pod.uid())) {
                vanished(pod);
            } else if (pod.isTerminating() && !stored.terminating()) {
                world.server.deletePod(pod.name(), 1);
            } else if (pod.isFinished() != stored.finished() || pod.isReady() != stored.ready()) {
                world.server.setStatus(pod.name(), pod.isFinished() ? "Failed" : "Running", pod.isReady());
            }
        }
        for (StoredPod stored : List.copyOf(world.server.pods().values())) {
            boolean runs = pods.stream().anyMatch(p -> !p.isRemoved() && p.uid().equals(stored.uid()));
            if (!runs && !stored.name().startsWith(OTHERS)) {
                later(world.draw.spread(Simulation.MS, Simulation.SECOND), () -> collect(stored));
            }
        }
    }

    /** The API server no longer has a pod that runs: its kubelet ends it. */
    private void vanished(SimulatedPod pod) {
        world.log("kubelet", pod.name() + " is unknown to the API server");
        pod.remove();
        pod.appExits();
        if (pod.process() == null) {
            pods.remove(pod);
        } else {
            later(world.draw.spread(Simulation.MS, Simulation.SECOND), () -> appExits(pod));
            later(world.draw.spread(Simulation.SECOND, 30 * Simulation.SECOND), () -> killAtLast(pod));
        }
        replace(pod, pod.name());
    }

    /** The API server has a pod that no longer runs anywhere. */
    private void collect(StoredPod dead) {
        StoredPod stored = world.server.pod(dead.name());
        if (stored != null && stored.uid().equals(dead.uid())) {
            world.server.deletePod(dead.name(), 0);
            for (int place = 0; place < world.mix.replicas; place++) {
                int fixed = place;
                if (world.mix.stateful && dead.name().equals("web-" + place)) {
                    later(world.draw.spread(Simulation.MS, Simulation.SECOND), () -> create(fixed, dead.name()));
                }
            }
        }
    }

    /** Gone from the API server while its process, on a node that nobody reaches, goes on. */
    void force(SimulatedPod pod, boolean sameName) {
        if (pod.isRemoved()) {
            return;
        }
        world.log("kubelet", pod.name() + " removed by force, its process goes on");
        int place = pod.place();
        pod.cutOff();
        if (sameName && place >= 0) {
            pod.leavePlace();
            later(world.draw.spread(Simulation.MS, Simulation.SECOND), () -> create(place, pod.name()));
        }
        takeAway(pod);
    }

    /** Its phase says that it will never run again, but its process still does. */
    void finish(SimulatedPod pod) {
        if (!pod.isUp()) {
            return;
        }
        String phase = world.draw.one(List.of("Succeeded", "Failed"));
        world.log("kubelet", pod.name() + " " + phase + ", its process goes on");
        pod.finish();
        world.server.setStatus(pod.name(), phase, false);
        boolean stays = !world.mix.stateful && world.draw.chance(0.5);
        if (stays) {
            replace(pod, pod.name());
        } else {
            later(world.draw.spread(Simulation.MS, 3 * world.mix.lease()), () -> {
                if (!pod.isRemoved() && !world.isQuiet()) {
                    takeAway(pod);
                }
            });
        }
    }

    /** From now on nothing is created or started, and every sidecar is told to go: at the end nobody is left. */
    void windDown() {
        world.log("kubelet", "winds down");
        windingDown = true;
        for (SimulatedProcess process : processes) {
            later(world.draw.spread(Simulation.MS, world.mix.lease()), process::stop);
        }
    }

    /** The quiet period begins: everything runs that can, what is to end ends soon, most pods are Ready. */
    void settle() {
        boolean ready = world.draw.chance(0.7);
        for (SimulatedPod pod : List.copyOf(pods)) {
            if (pod.isFinished() && !pod.isRemoved() && world.mix.stateful) {
                later(world.draw.between(0, Simulation.SECOND), () -> remove(pod));
            } else if (pod.isTerminating()) {
                later(world.draw.between(0, Simulation.SECOND), () -> appExits(pod));
                later(6 * Simulation.SECOND, () -> killAtLast(pod));
            } else if (pod.isUp()) {
                later(world.draw.between(0, Simulation.SECOND), () -> startContainer(pod));
                if (ready) {
                    setReady(pod, true);
                }
            }
        }
        List.copyOf(processes).forEach(SimulatedProcess::settle);
    }
}
