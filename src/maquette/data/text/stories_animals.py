"""Plots of the built-in stories about animals: those that children meet, and those that talk.

Standard library only; `stories.py` explains the notation.
"""

PLOTS = {
    "hungry": """
        cast: when hero elder hungry
        -? @child
        - {When} {A} found {a_animal} by the door. / {When} {a_animal} came into the garden and
          looked at {A}.
        - It was thin and hungry, and it {cry}. / "What do you want?" asked {A}. The {animal} {cry}.
          It was hungry.
        - {A} gave it {wrong}. The {animal} looked at it and turned away. / First {A} gave it
          {wrong}, but the {animal} would not touch it.
        - "What do {animals} eat?" asked {A}. "{Food} would be good," said {E}. / "It does not want
          {wrong}," said {A}. "Of course not," said {E}. "Bring {food}."
        - So {A} brought {food}, and the {animal} ate it all. / {A} ran in and came back with
          {food}. In one minute it was gone.
        - Then the {animal} fell asleep on {his} foot, and {A} did not dare to move. / After that
          the {animal} was not hungry any more, and it followed {A} all day. / The next day it came
          back and brought two friends.
        - "I think it likes you," said {E}. / "Next time I will have it ready," said {A}.
        """,
    "stray": """
        cast: when hero friend place stray
        - {When} {A} and {his} {rel} {B} were {at_place}. / {When} {A} and {B} went {to_place}.
        - From a bush came a small sound. "{Sound}!" / "{Sound}!" They heard it, but they saw
          nobody.
        - "Was that you?" asked {A}. "No," said {B}. "I do not say {sound}." / "Somebody is
          calling," said {A}.
        - Under the leaves sat {a_animal}, all alone. / They looked behind a stone, and there was
          {a_animal}, cold and lost.
        - "Where is your mother?" asked {A}. "{Sound}," it said. / {A} put it in {his} hat to keep
          it warm.
        - Then they heard it again, but louder, from the other side. "{Sound}!" / From far away came
          an answer. "{Sound}!"
        - They carried the {animal} towards the sound, and there was its mother. / {B} carried it
          over the ditch, and its mother came running to meet them.
        - She licked it from nose to tail. / The mother sniffed at it and then at {A}'s hat.
        - "I wish I could keep it," said {A}. "It has a home," said {B}. / "{Sound}!" called {A} and
          {B}, and then they went home too. / The hat was never quite the same again.
        """,
    "moon": """
        cast: when beasts
        let water = pond | lake | well | river
        let tool = net | bucket | spoon | long stick
        -? @wood
        - One night {A} the {kind} looked into the {water}. / {A} the {kind} came to the {water} one
          night to drink.
        - There was the moon, round and white, under the water. / In the black water lay the moon.
        - "Help!" cried {A}. "The moon has fallen in!" / "Oh no!" said {A}. "The moon will get wet!"
        - {He} ran to fetch {B} the {bkind}, who came with {a_tool}. / {B} the {bkind} heard it and
          came running with {a_tool}.
        - They tried to lift it out, but the moon broke into a hundred pieces. / As soon as they
          touched the water, the moon broke.
        - "We have broken it," said {A}, and began to cry. / "Now there will be no more nights,"
          said {A}.
        - Then {B} looked up. "We have saved it!" {bhe} said. "It is back in the sky." / "Look up,"
          said {B}. There was the moon, high over the trees, and not even wet.
        - They were very proud, and they told everybody about it. / {A} dried {his} paws and went to
          bed, tired and happy. / "Good night, moon," said {A}. "Be careful."
        """,
    "thorn": """
        cast: beasts
        let big = bear | wolf | lion
        let small = mouse | frog | mole
        let use = a needle | two small sticks | a bit of wax | its tiny teeth
        -? @wood
        - {A} was a big {big}, and {B} was a small {small}. / There was once a big {big} called {A}
          and a small {small} called {B}.
        - "You are too small to be of any use," said {A}. / "What can such a small {small} do?"
          asked {A}.
        -? {B} said nothing and went on eating {bhis} supper. / "We shall see," said {B}.
        - The next day {A} stepped on a thorn. "Ow!" {he} cried. / Then one day {A} had a thorn in
          {his} foot, and {he} howled so loudly that the leaves fell down.
        - {His} own feet were too big and thick to pull it out. / {He} tried to pull it out, but it
          was too small for {him} to hold.
        - {B} came. "Sit still," {bhe} said, and pulled it out. / "Do not move," said {B}. {Bhe}
          took hold of the thorn and pulled, and out it came.
        - "Thank you," said {A}. "You are not small at all." "I am," said {B}. "That is why I could
          do it." / "How did you do that?" asked {A}. "With small hands," said {B}.
        - After that {A} carried {B} through the wood on {his} back. / From that day on they had
          supper together.
        """,
    "snail": """
        cast: beasts
        let when = on Monday | in May | in spring | at Christmas
        let what, late = birthday; a year | party; a month | picnic; a week
        - {A} the {kind} wrote a letter to {B} the {bkind}. "Please come to my {what}," it said. /
          "Please come to my {what}," wrote {A} the {kind} to {B} the {bkind}.
        - {He} gave the letter to the snail, who was the postman. / The snail put the letter on its
          back. "I will hurry," it said.
        -? The snail went as fast as it could. It passed a stone, and later another stone. / The
          snail ran. It did not look like running, but it was.
        - {A} waited, but {B} did not come. / On the day itself {A} sat there all alone with a cake.
        -? "I think {bhe} has forgotten me," said {A}. / "Maybe {bhe} does not like cake," thought
          {A}.
        - {Late} later somebody knocked. It was {B} with a present. / Then, {late} later, {B} stood
          at the door in {bhis} best hat.
        - "Am I early?" asked {B}. "The letter has just come." / "I came at once," said {B}. "The
          snail was so quick!"
        - {A} laughed and made another cake. / "You are just in time for the next one," said {A}. /
          So they had the party after all, and the snail came too. It arrived for breakfast.
        """,
    "bridge": """
        cast: beasts
        let gift = bag of nuts | pot of honey | big cheese | cherry cake
        -? @wood
        - {A} the {kind} and {B} the {bkind} met in the middle of a narrow bridge. / On a narrow
          bridge {A} the {kind} met {B} the {bkind}.
        - There was room for only one of them. / It was too narrow for two.
        - "After you," said {A}. "No, after you," said {B}. / "You go first," said {A} politely.
          "No, you," said {B}.
        -? "I have time," said {A}. "I have time too," said {B}. / They bowed, and they bowed again.
        - The sun went down, and they were still there. / An hour passed. A fish looked out of the
          water and shook its head.
        - "I have {a_gift} with me," said {A}. "Are you hungry?" / Then {B} sniffed. "What is in
          your bag?" {bhe} asked. "Just {a_gift}," said {A}.
        - So they sat down on the bridge and had supper. / They sat down, let their feet hang over
          the water, and ate it all.
        - Then both of them turned round and went home. / "Where were you going?" asked {A}. "To see
          you," said {B}. / When it was all gone, {A} jumped into the river and swam. "After me,"
          {he} said.
        """,
    "snore": """
        cast: beasts
        let give = a pair of woolly hats | two pine cones for the ears | a bag of soft moss
        -? @wood
        - {A} the {kind} lived next door to {B} the {bkind}. / {A} the {kind} and {B} the {bkind}
          had a house together.
        - Every night {B} snored like a saw. / At night {B} snored so loudly that the cups fell off
          the shelf.
        - {A} could not sleep at all. / {A} put {his} head under the pillow, but it did not help.
        - {He} knocked on the wall. "Please stop snoring!" {he} called. / One night {A} woke {bhim}.
          "You are snoring," {he} said.
        - "I never snore," said {B}. "I would hear it." / "Me? I was listening to the owls," said
          {B}.
        - So {A} sang a song, loud and long, until {B} woke up. / So the next night {A} played the
          trumpet, and {B} fell out of bed.
        - "Now I cannot sleep," said {B}. "Now you know," said {A}. / "What a terrible noise!" said
          {B}. "That is just what I say every night," said {A}.
        - After that {B} slept on {bhis} side, and there was peace. / Then {B} tried to sleep on
          {bhis} side, and the only noise was the wind.
        """,
    "race": """
        cast: when beasts
        let goal = mill | old oak | river | big rock
        let stop = pick flowers | eat berries | watch a beetle | smell the roses
        -? @wood
        - {When} {A} the {kind} and {B} the {bkind} ran a race to the {goal}. / "Shall we race to
          the {goal}?" asked {A} the {kind}. "Yes," said {B} the {bkind}.
        - "One, two, three, go!" said the owl, and off they went. / The crow called, "Go!" and off
          they went.
        - Soon {A} was far ahead. / {A} ran like the wind, and {B} was soon far behind.
        - "I have time," thought {A}, and stopped to {stop}. / {He} was so far ahead that {he}
          stopped to {stop}.
        - Then {B} came by. "What are you doing?" {bhe} asked. / After a while {B} came along, red
          in the face.
        - "Come and see," said {A}. So {B} stopped too. / "It is so nice here," said {A}. "Stay a
          bit." And {B} did.
        - They forgot the race, and they forgot the {goal}. / They sat there until the sun was low.
        - At supper time the owl asked, "Who won?" / "Who was first?" asked the owl that evening.
        - "We both did," said {B}. / "Nobody," said {A}, "but it was a very good race." / "The snail
          did," said {A}.
        """,
    "dark": """
        cast: beasts
        let sight = a thousand stars | the big round moon | a shooting star | seven bright stars
        - {A} was a little owl who was afraid of the dark. / There was once a little owl called {A}.
          {He} did not like the dark.
        - "But owls fly at night," said {his} mother. / "Owls must fly at night," said {his} father.
        -? "I will fly in the morning," said {A}, and held on to the branch. / "Not this owl," said
          {A}, and shut {his} eyes.
        - Then {B} the bat came by. "Are you coming?" {bhe} asked. / {B} the bat hung upside down
          beside {him}. "Why are you sitting here?" {bhe} asked.
        - "It is too dark to see anything," said {A}. "Have you looked?" asked {B}. / "There is
          nothing to see," said {A}. "Open your eyes first," said {B}.
        - So {A} opened one eye, and then the other. / {A} looked up, just a little.
        - And {he} saw {sight}. "Oh!" {he} said. / Up there {he} saw {sight}.
        - "You can only see that in the dark," said {B}. / "Does that happen every night?" asked
          {A}. "Every night," said {B}.
        - Then they flew out over the trees, wing by wing. / After that {A} was only afraid of
          breakfast, when it got light. / Since then {A} goes to bed late, like a good owl.
        """,
    "dog": """
        cast: when hero elder
        let name = Button | Biscuit | Pepper | Captain
        let toy = shoe | slipper | hat | glove
        let where = under the apple tree | behind the shed | by the roses
        - {A} had a small dog called {name}. / {name} was {A}'s dog, and he was not a very good one.
        - {When} {E}'s best {toy} was gone. / {When} {E} could find only one {toy}.
        - "Have you seen my {toy}?" asked {E}. "No," said {A}. {name} looked at the floor. / "Who
          took it?" asked {E}. {name} hid behind {A}.
        -? There was mud on his nose. / {A} saw fresh earth on his paws.
        - "Show me," said {A}, and the dog ran into the garden. / They followed the muddy paw marks
          into the garden.
        - There was a new hole {where}, and in it lay the {toy}. / The dog began to dig {where}, and
          out came the {toy}.
        - "He was keeping it safe for you," said {A}. / "Well, at least he can find things," said
          {E}.
        - They also found a spoon, two bones and a bell. / {E} washed it and put it on the highest
          shelf. / {A} gave the dog an old one, and he buried it at once. / "I was looking for that
          spoon," said {E}, for there was more in the hole.
        """,
    "parrot": """
        cast: when hero elder
        let word = toast | porridge | cheese | pudding
        let place = kitchen | shop | school | hall
        - {E} had a green parrot that could say only one word. / In the {place} lived a parrot. It
          knew one word.
        - "{Word}!" it said in the morning. "{Word}!" it said at night. / The word was {word}, and
          it said it all day.
        - {When} {A} tried to teach it another word. / "That is not enough," said {A} {when}. "I
          will teach it more."
        - "Say hello," said {A}. "{Word}," said the parrot. / "Good morning," said {A}. "{Word},"
          said the parrot.
        -? {A} tried it ten times, and then ten times more. / {He} tried all week, and grew very
          tired.
        - "It cannot learn," said {A}. "What does it want?" asked {E}. / "Maybe it is not a lesson
          that it wants," said {E}.
        - So {A} gave it some {word}. The parrot ate it all. / {A} brought it some {word}, and it
          ate until the plate was clean.
        - Then it wiped its beak. "Hello," it said. / "Good morning," said the parrot. "And thank
          you." / Then it bowed. "More {word}!" it said. Now it knew two words.
        """,
}
