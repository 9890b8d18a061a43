(import klorpy)
(import anyio)
(with-opts {:verify {:agreement True}}
  (defchor greet [Client Server]
      (-> Client #{Client Server} Server)
      [name greeting]
    (Client->Server
      (Client (+ greeting name)))))
(defn :async both []
  (setv network (klorpy.MemoryNetwork ["Client" "Server"]))
  (with [:async group (anyio.create-task-group)]
    (.start-soon group klorpy.play-role
      {"role" "Client" "transport" (.endpoint network "Client")} greet "Ada" "Hello ")
    (await (klorpy.play-role {"role" "Server" "transport" (.endpoint network "Server")} greet "Hi "))))
(try
  (anyio.run both)
  (except [group ExceptionGroup]
    (raise (get group.exceptions 0))))
