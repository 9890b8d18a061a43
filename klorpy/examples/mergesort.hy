"Merge sort by three roles: A splits a list, B and C sort the halves, A merges them.

To sort its half, a role becomes the A of another round, and the other two help it: the roles rotate."

(require klorpy *)

(defchor merge [A B C] (-> B C A) [left right]
  "B's and C's sorted lists as one sorted list, at A. Each round moves the smaller first element to A."
  (loop [left left
         right right
         merged (A [])]
    (cond
      (bcast [B A C] (B (not left))) (A (+ merged (C->A right)))
      (bcast [C A B] (C (not right))) (A (+ merged (B->A left)))
      (bcast [B A C] (B (<= (get left 0) (C->B (C (get right 0))))))
        (recur (B (cut left 1 None)) right (A [#* merged (B->A (B (get left 0)))]))
      True
        (recur left (C (cut right 1 None)) (A [#* merged (C->A (C (get right 0)))])))))

(defchor mergesort [A B C] (-> A A) [xs]
  (if (bcast [A B C] (A (< (len xs) 2)))
    xs
    (let [half (A (// (len xs) 2))]
      (merge [A B C]
        (mergesort [B C A] (A->B (A (cut xs half))))
        (mergesort [C A B] (A->C (A (cut xs half None))))))))
