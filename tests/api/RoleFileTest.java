import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the application in the same pod reads, and in which order with what the API server sees. */
@Tag(SidecarCommand.TAG)
@Patient.WithProcesses
class RoleFileTest {

    private static final int FAILURE = 1;

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(ServedGroup.BRISK);

    private ServedSidecar leader;
    private ServedSidecar follower;

    @BeforeAll
    static void elect() {
        GROUP.elect(2);
    }

    @BeforeEach
    void look() {
        leader = GROUP.leader();
        follower = GROUP.follower();
    }

    @AfterEach
    void unblock() {
        if (Files.isDirectory(blocked(leader))) {
            Folders.delete(blocked(leader));
        }
    }

    /** Where each new content is written first; a folder there makes that impossible. */
    private static Path blocked(ServedSidecar sidecar) {
        return sidecar.roleFile().resolveSibling(".role.json.new");
    }

    // --- Content -----------------------------------------------------------------------------------------------------

    @Test
    void it_says_who_leads_and_by_which_epoch() {
        String epoch = GROUP.witness().pods().get(leader.pod()).epoch();
        assertEquals("{\"leader\":true,\"epoch\":\"" + epoch + "\",\"name\":\"" + leader.pod() + "\"}\n", leader.role());
        Wait.until("the follower knows the leader", Group.SOON, () -> follower.role().contains(leader.pod()));
        assertEquals("{\"leader\":false,\"epoch\":\"0\",\"name\":\"" + leader.pod() + "\"}\n", follower.role());
    }

    @Test
    void each_change_moves_a_new_file_into_place() throws IOException {
        String before = leader.role();
        try (InputStream opened = Files.newInputStream(leader.roleFile())) {
            GROUP.moveLead();
            Wait.until("it says that it does not lead", Group.SOON, () -> !leader.saysItLeads());
            assertEquals(before, new String(opened.readAllBytes()), "whoever was reading reads on undisturbed");
        }
    }

    @Test
    void readers_never_miss_it_nor_see_a_part_of_it_and_epochs_grow() {
        Set<String> seen = ConcurrentHashMap.newKeySet();
        List<Thread> readers = Stream.of(leader, follower).map(sidecar -> Thread.ofPlatform().daemon().start(() -> {
            while (!Thread.currentThread().isInterrupted()) {
                seen.add(read(sidecar.roleFile()));
                LockSupport.parkNanos(100_000);
            }
        })).toList();
        List<Long> epochs = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            epochs.add(Long.parseLong((String) Json.parse(GROUP.moveLead().role()).get("epoch")));
        }
        readers.forEach(Thread::interrupt);
        List<String> broken = seen.stream()
                .filter(text -> !text.matches("\\{\"leader\":(true|false),\"epoch\":\"\\d+\",\"name\":\"(web-[01])?\"}\n")).toList();
        assertEquals(List.of(), broken);
        assertTrue(seen.size() > epochs.size(), "the readers saw the changes: " + seen);
        assertEquals(epochs.stream().sorted().distinct().toList(), epochs);
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException missing) {
            return missing.toString();
        }
    }

    // --- Order -------------------------------------------------------------------------------------------------------

    @Test
    void a_planned_hand_over_writes_the_demotion_before_the_lease_is_offered() throws IOException {
        List<Boolean> saidAtOffer = new CopyOnWriteArrayList<>();
        onRevision((pod, holder) -> {
            if (holder.isEmpty()) {
                saidAtOffer.add(leader.saysItLeads());
            }
        });

        leader.process().term();

        assertEquals(0, leader.process().exitCode(Group.SOON));
        assertEquals(List.of(false), List.copyOf(saidAtOffer));
        assertEquals(List.of(), files(leader.roleFile().getParent()), "nothing is left of it");
        ServedSidecar next = GROUP.start(leader.pod());
        Wait.until("its successor takes part", Group.SOON, () -> next.endpoint().code("/readyz") == 200);
    }

    private interface Revision {
        /** Pod whose revision it is, empty if it is the Lease's; holder of the Lease, {@code "-"} if it is a pod's. */
        void seen(String pod, String holder);
    }

    /** Calls back while the API server executes a write, before it answers. */
    private static void onRevision(Revision revision) {
        GROUP.server().withStore(store -> {
            store.onRevision(change -> {
                String kind = Json.text(change.after(), "kind");
                String holder = Json.text(change.after(), "spec", "holderIdentity");
                revision.seen("Pod".equals(kind) ? Json.text(change.after(), "metadata", "name") : "",
                        "Lease".equals(kind) ? holder == null ? "" : holder : "-");
            });
            return store;
        });
    }

    // --- Bad paths -----------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(strings = {"missing/role.json", "folder", "/proc/role.json", "/", ".", ""})
    void a_path_that_cannot_be_written_is_refused_and_nothing_is_left_behind(String name) throws IOException {
        Path folder = Folders.temporary("bad-role");
        Files.createDirectory(folder.resolve("folder"));
        Path path = name.isEmpty() ? Path.of("") : folder.resolve(name);
        List<Path> before = filesAround(folder);
        try {
            String message = assertThrows(IOException.class, () -> new RoleFile(path)).getMessage();
            assertTrue(message.matches("--role-file: (cannot write )?\"" + path + "\"(:| must name a file).*"), message);
            assertEquals(before, filesAround(folder));
        } finally {
            Folders.delete(folder);
        }
    }

    /** What there is where it might have been left. */
    private static List<Path> filesAround(Path folder) throws IOException {
        List<Path> all = new ArrayList<>();
        for (Path each : List.of(folder, Path.of(""), Path.of("/"))) {
            all.addAll(files(each));
        }
        return all;
    }

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        }
    }

    @Test
    void a_file_that_cannot_be_written_is_removed_with_one_error_and_the_election_goes_on() throws IOException {
        Files.createDirectories(blocked(leader).resolve("not-empty"));

        GROUP.group().editLease(lease -> lease.setHolderIdentity(""));
        GROUP.group().awaitLeaderOtherThan(leader.pod(), Group.SOON);
        GROUP.group().awaitRenewals(follower.pod(), 5);

        assertNull(leader.role(), "it must not say that this pod leads");
        assertEquals(1, leader.process().log().lines().filter(line -> line.contains("cannot write")).count(), leader.process().log());
        unblock();
        Wait.until("it is written when that is possible again", Group.SOON, () -> leader.role() != null);
        assertFalse(leader.saysItLeads());
    }

    // --- The end -------------------------------------------------------------------------------------------------------

    @Test
    void it_is_removed_at_a_failure() {
        ServedSidecar failing = GROUP.start("web-9");
        assertEquals(FAILURE, failing.process().exitCode(Group.SOON), failing.process().log());
        assertFalse(Files.exists(failing.roleFile()));
    }

    /** The second signal comes while the election goes on, in another thread. */
    @Test
    void it_is_not_written_after_its_end(@TempDir Path folder) throws IOException {
        Path path = folder.resolve("role.json");
        RoleFile file = new RoleFile(path);
        file.close();
        file.write(new Status("web-1", "", "web-0", false, 0, "0", null, List.of(), true, null));
        assertFalse(Files.exists(path));
    }

    @Test
    void a_second_signal_removes_it_too() {
        follower.process().freeze(); // so that the hand-over takes its time
        try {
            leader.process().term();
            Wait.until("the first signal has been handled", Group.SOON, () -> !leader.saysItLeads());
            leader.process().term();
            assertEquals(0, leader.process().exitCode(Group.SOON));
            assertFalse(leader.process().log().contains("exit code="), "the hand-over was not awaited: " + leader.process().log());
            assertFalse(Files.exists(leader.roleFile()));
        } finally {
            follower.process().thaw();
        }
        GROUP.start(leader.pod());
    }
}
