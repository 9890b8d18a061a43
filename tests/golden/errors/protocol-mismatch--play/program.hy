(import klorpy)
(import anyio)
(defchor old [A B] (-> A B) [x] (A->B x))
(defchor new [A B] (-> A B) [x] (A->B (A (* 2 x))))
(defn :async both []
  (setv network (klorpy.MemoryNetwork ["A" "B"]))
  (await (klorpy.play-role {"role" "A" "transport" (.endpoint network "A")} old 5))
  (await (klorpy.play-role {"role" "B" "transport" (.endpoint network "B")} new)))
(anyio.run both)
